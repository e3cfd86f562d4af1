#!/usr/bin/env bash
# Make the bundles and every result of the flagship again, after its weights or the preprocessing changed.
#
# Usage: benchmarks/remake.sh RUNS
#
# RUNS is what `make train` and benchmarks/train_folds.py wrote: edgesig-clean/, edgesig-without-cedar/, edgesig/ and folds/0 to 4.
# The research data are looked for as everywhere: in SIGEDGE_DATA, else ../shared/data. Takes about two hours on 2 cores, and
# the part with times wants them for itself; what is there already in .cache is not made twice.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=$1
python=.venv/bin/python
sigedge=.venv/bin/sigedge
index=${SIGEDGE_DATA:-../shared/data}/index.csv
real=(--index "$index" --dataset cedar-half --dataset bhsig260-hindi)
results=benchmarks/results
weights=models/weights
bundles=runtime/sigedge_runtime/bundles

cp "$runs/folds/0/edgesig.safetensors" "$runs/edgesig-clean/edgesig-clean.safetensors" $weights/
# Into the package: the int8 file of each verifier, with its card.
ship() {
	$sigedge export $weights/edgesig.safetensors --out $bundles/edgesig --formats tflite --precisions int8 "${real[@]}"
	$sigedge export $weights/edgesig-clean.safetensors --out $bundles/edgesig-clean --formats tflite --precisions int8
	rm -rf $bundles/*.logs $bundles/*.report.html $bundles/*.zip
}
ship

sheets=.cache/ssbi
[ -d $sheets ] || $sigedge data cut "$(dirname "$index")/ssbi/signatures" $sheets
for model in edgesig edgesig-clean; do
	for dataset in cedar-half bhsig260-hindi sigcomp2009-nfi; do
		refs=1,5,10
		[ $dataset = sigcomp2009-nfi ] && refs=1,3
		extra=()
		[ $model = edgesig ] && extra=(--robustness)
		$sigedge evaluate $bundles/$model --index "$index" --dataset $dataset --refs $refs "${extra[@]}" \
			--json $results/accuracy-$model-$dataset.json --report out/report/$model-$dataset.html
	done
	$sigedge evaluate $bundles/$model --index $sheets --refs 1,5,10 --split all \
		--json $results/accuracy-$model-ssbi.json --report out/report/$model-ssbi.html
done
$python benchmarks/folds.py "$runs/folds"
$python benchmarks/transfer.py "$runs/edgesig-clean/edgesig-clean.safetensors" \
	"$runs/edgesig-without-cedar/edgesig-without-cedar.safetensors" $weights/edgesig.safetensors
$python benchmarks/abstention.py $bundles/edgesig
for dataset in cedar-half bhsig260-hindi; do
	$sigedge data leaks "$index" --dataset $dataset --json $results/leaks-$dataset.json
done
for system in cgan forger cleaner signauth; do # the first three are judged by the flagship
	$sigedge evaluate $system --index "$index" --json $results/system-$system.json
done
$python -m sigedge.systems.localisation evaluate --data "$(dirname "$index")" --json $results/system-localisation.json
for model in signet siamese_resnet; do
	$sigedge export $weights/$model.safetensors --out out/$model --formats tflite --precisions int8,float32 "${real[@]}"
	for dataset in cedar-half bhsig260-hindi sigcomp2009-nfi; do
		refs=1,5,10
		[ $dataset = sigcomp2009-nfi ] && refs=1,3
		$sigedge evaluate out/$model --index "$index" --dataset $dataset --refs $refs \
			--json $results/accuracy-$model-$dataset.json
	done
	$python benchmarks/verifier_systems.py out/$model
done
$python benchmarks/system_exports.py
$python benchmarks/realism.py
$python benchmarks/score_rules.py "$runs"
$python benchmarks/experiments.py "$runs"
$sigedge calibrate "${real[@]}" --out out/calibration.npz
$sigedge calibrate --compare $weights/edgesig.safetensors --calibration out/calibration.npz "${real[@]}" \
	--json $results/calibration-edgesig.json
$sigedge export $weights/edgesig.safetensors --out out/full/edgesig "${real[@]}"
$python benchmarks/parity_results.py out/full/edgesig
OMP_NUM_THREADS=1 $python benchmarks/training_time.py "$runs"
$python benchmarks/identity.py
$python benchmarks/engines.py
$python benchmarks/store_latency.py
make bench
$sigedge bench $bundles/edgesig --peers benchmarks/peers --threads 1 --threads 2 --device-id desk-cedar \
	--scans "$(dirname "$index")/cedar-full-sample" --json $results/bench-desk-cedar.json --page out/bench/index.html
$python benchmarks/profile_verification.py $bundles/edgesig
make arm-parity fuzz soak SOAK_MINUTES=10
make docs-tables
ship # once more: the cards hold the new tables now
