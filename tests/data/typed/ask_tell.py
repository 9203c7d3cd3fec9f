import sys

from gennas import Problem, Search
from gennas.arch import Arch


def my_training(arch: Arch) -> float:
    if arch.key.startswith("|none"):
        raise MemoryError("too large for this machine")
    return 0.1 * arch.ops.count("nor_conv_3x3")


def main(study: str, stop: int) -> None:
    problem = Problem(space="nasbench201", task="cifar10", objective="accuracy", where=["params_m <= 0.8"])
    search = Search(problem, study=study, budget=8, seed=0)
    for trial in search:
        if trial.number == stop:
            sys.exit("stopped")
        try:
            search.tell(trial, {"accuracy": my_training(trial.arch)})
        except MemoryError as error:
            search.tell(trial, state="failed", message=str(error))
    print(search.best(), search.frame().tail())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
