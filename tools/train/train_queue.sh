#!/bin/sh
# Trains S, B and L one after the other from the weights in assets/, and installs each that got better.
#
#   PYTHON=venv/bin/python WORK=work nice -n 19 setsid nohup tools/train/train_queue.sh >queue.log 2>&1 &
#
# The seconds per model are S_SECONDS, B_SECONDS, L_SECONDS; 0 leaves that model out. Safe to stop at any time: kill the
# process group. THREADS=1 where others use the machine: two threads then spend most of their time waiting for each
# other (8 seconds a step of L instead of 2).
cd "$(dirname "$0")/../.." || exit 1
: "${PYTHON:=python3}" "${WORK:=work}" "${THREADS:=2}" "${S_SECONDS:=600}" "${B_SECONDS:=1500}" "${L_SECONDS:=3300}"
mkdir -p "$WORK"
export OMP_NUM_THREADS="$THREADS"

train() {  # model seconds learning-rate
  [ "$2" -gt 0 ] || return
  "$PYTHON" tools/train/train_demo_family.py --model "$1" --init "assets/fashion-$1.safetensors" --seconds "$2" --lr "$3" \
    --warm-up 100 --threads "$THREADS" --out "$WORK/fashion-$1.safetensors" >"$WORK/train-$1.log" 2>&1
  "$PYTHON" tools/train/install_if_better.py "$WORK/fashion-$1.safetensors" "assets/fashion-$1.safetensors"
}

date
train s "$S_SECONDS" 1e-3
train b "$B_SECONDS" 7e-4
train l "$L_SECONDS" 5e-4
date
echo done
