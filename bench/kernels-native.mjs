/**
 * How fast are the native matrix kernels, beside what this machine could do? Builds bench/kernels-native.cc with the
 * kernels, and runs it.
 *
 *   node bench/kernels-native.mjs [--level=avx512vnni,avx2] [--format=Q4_0,Q6_K] [--rows=1,64]
 *
 * Per level and format: packing and one row of activations in GB/s of weights, products of several rows in GOPS (a
 * multiplication and an addition are two); then, where there are such, by the kernels for many rows that fast mode
 * takes and by those of reproducible mode, named in the first column. One thread, processor time, best of several runs.
 */
import { buildAndRun } from "./build-native.mjs";

buildAndRun("kernels-native.cc", /^(cpu|grids|matmul.*|pack.*)\.cc$/);
