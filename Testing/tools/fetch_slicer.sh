#!/usr/bin/env bash
# Fetches the pieces of Slicer's source that tests run on: fetch_slicer.sh FOLDER
# For a CI that lacks them; HIDIFF_SLICER=FOLDER then names the folder. Nothing of it enters the repository.
set -euo pipefail
folder=$1

get() { # address commit into paths…
  git init --quiet "$folder/$3"
  git -C "$folder/$3" fetch --quiet --depth 1 "$1" "$2"
  git -C "$folder/$3" checkout --quiet FETCH_HEAD -- "${@:4}"
}

slicer=${SLICER_ADDRESS:-https://github.com/Slicer/Slicer}
get "$slicer" 9034c71a8fce68ab312458b3d7d16f610562263d 5.12 Base/Python CMake
get "$slicer" 583e9b37d50ead7daf7b783dce465ccaecec8809 main Base/Python CMake
get "${CTK_ADDRESS:-https://github.com/commontk/CTK}" 868d56c72d2899f0f5595745c7c39765fed80eef ctk CMake
