from torch import Tensor, nn

from gennas import Arch, Evaluator, GraphBatch, Guide, Task
from gennas.spaces.nasbench201.space import NasBench201


class FewEdges(Guide):
    def log_values(self, graph: GraphBatch, row: Tensor) -> Tensor:
        return -0.7 * (graph.edges == 1).sum((1, 2)).float()


class Wide(NasBench201):
    name = "wide"

    def build(self, arch: Arch, task: Task) -> nn.Module:
        return nn.Sequential(super().build(arch, task), nn.Dropout(0.1))


class Names(Evaluator):
    source = "counted"
    is_instant = True

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        return {f"accuracy@{task.name}": len(set(arch.ops)) / len(arch.ops)}
