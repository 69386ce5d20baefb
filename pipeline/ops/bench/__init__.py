"""`spanfold bench`: what an event costs a worker in CPU time, by stage, and what it would cost a plain Faust agent."""

from pipeline.ops.bench.run import BenchOptions, run_bench

__all__ = ["BenchOptions", "run_bench"]
