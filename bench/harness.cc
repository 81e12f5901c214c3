/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <benchmark/benchmark.h>

/* A bench_state is Google Benchmark's own state, which C cannot name. */
static benchmark::State &state_of(bench_state *state)
{
	return *reinterpret_cast<benchmark::State *>(state);
}

bool bench_next(struct bench_state *state)
{
	return state_of(state).KeepRunning();
}

int64_t bench_arg(const struct bench_state *state)
{
	return reinterpret_cast<const benchmark::State *>(state)->range(0);
}

void bench_fail(struct bench_state *state, const char *why)
{
	state_of(state).SkipWithError(why);
}

int main(int argc, char **argv)
{
	for (const bench *bench = benchmarks; bench->name; bench++) {
		auto *registered = benchmark::RegisterBenchmark(
			bench->name, [bench](benchmark::State &state) {
				bench->run(reinterpret_cast<bench_state *>(&state));
				state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
			});
		registered->UseRealTime();
		for (int64_t arg : bench->args) {
			if (arg)
				registered->Arg(arg)->ArgName(bench->arg_name);
		}
	}
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 2;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}
