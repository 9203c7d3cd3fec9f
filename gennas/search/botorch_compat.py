"""BoTorch's acquisition functions of several objectives, without the C++ kernel that they would compile.

It takes a minute, silently, at the first use on a machine; and with it the same seed would pick other archs where there
is no compiler. BoTorch has no option for it (0.18): this module's name for "was tried" is the only handle.
"""

from botorch.acquisition.multi_objective import logei

logei._load_attempted = True

qLogNoisyExpectedHypervolumeImprovement = logei.qLogNoisyExpectedHypervolumeImprovement
