"""Makes golden_tokens.json and golden_vectors.json, what the tests of embed/ compare with.

    python3 -m venv v && v/bin/pip install jax==0.4.30 jaxlib==0.4.30 flax==0.8.5 transformers==4.44.2 'numpy<2' 'scipy<1.14'
    v/bin/python make_golden.py MODEL_FOLDER XQUAD_FOLDER

Tokens come from Hugging Face `tokenizers`, vectors from Hugging Face `transformers`' BERT in float32 (the Flax one: the
CPU build of PyTorch is not on PyPI) with sentence-transformers' steps around it: at most 256 tokens, mean over all
tokens, L2 norm. XQuAD texts are named by language and place, not copied.
"""

import base64
import json
import os
import pathlib
import random
import struct
import sys
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"

import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer
from transformers import FlaxBertModel

MAX_TOKENS = 256
HERE = pathlib.Path(__file__).parent

ODD_TEXTS = [
    "", " ", "\t\n\r ", "\x00", "a\x00b", "a\x07b\x7fc\x85d", "a\ufffdb", "\ufeffbyte order mark", "zero\u200bwidth\u200djoiner",
    "soft\u00adhyphen", "no\u00a0break thin\u2009space line\u2028separator paragraph\u2029separator ideographic\u3000space",
    "Café CAFÉ cafe\u0301 ＣＡＦＥ", "İstanbul ISTANBUL ıstanbul", "ΟΔΟΣ Σίσυφος ς", "Straße STRASSE ẞ", "Ångström Å Å",
    "Hà Nội là thủ đô của Việt Nam.", "Tiếng Việt có sáu thanh: ngang, huyền, sắc, hỏi, ngã, nặng", "đ Đ ð Ð ơ Ơ ư Ư",
    "北京是中华人民共和国的首都。", "我爱beijing的秋天2024年", "日本語のテキスト、カタカナとひらがな。", "한국어 텍스트입니다", "ภาษาไทย", "हिन्दी में पाठ", "العربية نصٌّ مُشَكَّل",
    "עִבְרִית", "Ελληνικά", "Русский Ёлка й", "ქართული", "👍🏽 thumbs", "👨\u200d👩\u200d👧\u200d👦 family", "🇻🇳🇨🇳", "❤️ vs ❤", "1️⃣ 2️⃣",
    "z̷̡̛͖̈́ä̸̰́l̶̢̈́g̵̱̅o̶͖͠", "e\u0301\u0327\u0323 \u0301alone", "\u0344\u0958\u2126\u212a\u212b", "ﬁ ﬂ ½ ² ℡ ①", "$100 €50 £20 ¥30 50%",
    "don't can't it's won’t “quoted” ‘single’ — dash – en … ellipsis", "a.b,c;d:e!f?g(h)i[j]k{l}m<n>o/p\\q|r^s~t`u@v#w&x*y+z=_-",
    "[CLS] [SEP] [MASK] [PAD] [UNK]", "[cls] [sep]", "before[SEP]after [MASK]. [MASK", "[[SEP]]", "[SE P]", "##ing ## ing##",
    "x" * 100, "x" * 101, "supercalifragilisticexpialidocious", "a" * 99 + " " + "b" * 150 + " end", "字" * 120, "é" * 101,
    "https://example.com/a/b?c=d&e=f#g user@example.com C:\\dir\\file.txt", "int main() { return x<<2 ^ ~y; } // comment",
    "1,234,567.89 -42 3e10 0xFF", "COVID-19 GPT-4 3.11 H₂O CO₂ x² m³", "word " * 300, "one two three " * 200, "hello\u0000\u0001world",
    "\U000E0001\U000E0041 tags", "\uE000\uF8FF private", "\U0001F9D1\u200D\U0001F680 \U0001FAE0", "𝕳𝖊𝖑𝖑𝖔 𝓦𝓸𝓻𝓵𝓭", "𠀀𪜀𫝀𫠠豈丽 ideographs", "〇〡々〆ヶ",
    "\u166d\u1734\u1885\u1886\ua9bd\U000111c9 recategorised", "\u061d\u2e55\u2e5d newer punctuation", "e\u0315\u0300\u05ae\u0062 reorder",
    "각 각 ᆨ", "ｈａｌｆ　ｗｉｄｔｈ ｱｲｳ", "\u0130\u0307", "\u1e9b\u0323", "\r\nwindows\r\nlines\r\n", "tab\tseparated\tvalues",
]

SENTENCES = {
    "en": [
        "How do I reset my password?", "I forgot my password, how can I get a new one?", "What is the capital of France?",
        "The quick brown fox jumps over the lazy dog.", "Can I get a refund for an order that has not shipped yet?",
        "Is it safe to take ibuprofen and paracetamol together?", "Is it not safe to take ibuprofen and paracetamol together?", "hi",
        "Summarise the contract in three bullet points, and name every deadline.", "What was the revenue in Q3 2023?",
        "What was the revenue in Q3 2024?", "RuntimeError: CUDA error: out of memory", "SELECT name FROM users WHERE id = 42;",
        "The mitochondrion is the powerhouse of the cell. " * 12, "A very long text goes past the limit of the model. " * 60,
    ],
    "vi": [
        "Làm thế nào để đặt lại mật khẩu?", "Tôi quên mật khẩu, làm sao để lấy lại?", "Thủ đô của Việt Nam là gì?",
        "Tôi có thể được hoàn tiền cho đơn hàng chưa giao không?", "Hôm nay thời tiết ở Hà Nội thế nào?", "Xin chào",
        "Doanh thu quý ba năm 2023 là bao nhiêu?", "Doanh thu quý ba năm 2024 là bao nhiêu?", "Phở bò và bún chả là hai món ăn nổi tiếng của Hà Nội.",
        "Uống cà phê buổi tối có hại cho giấc ngủ không?", "Hãy tóm tắt hợp đồng thành ba ý chính và nêu mọi thời hạn.",
        "Máy chủ trả về lỗi 502, tôi phải làm gì?", "Sông Cửu Long dài bao nhiêu ki-lô-mét?", "Trí tuệ nhân tạo đang thay đổi cách chúng ta làm việc. " * 8,
        "Văn bản này rất dài và vượt quá giới hạn của mô hình. " * 40,
    ],
    "zh": [
        "如何重置我的密码？", "我忘记密码了，怎么找回？", "法国的首都是哪里？", "尚未发货的订单可以退款吗？", "今天北京的天气怎么样？", "你好",
        "2023年第三季度的收入是多少？", "2024年第三季度的收入是多少？", "用三个要点总结合同，并列出所有截止日期。", "晚上喝咖啡会影响睡眠吗？", "服务器返回502错误，我该怎么办？",
        "长江全长多少公里？", "人工智能正在改变我们的工作方式。" * 6, "這是一段繁體中文的測試文字。", "这段文字非常长，超过了模型的限制。" * 30,
    ],
}


def fnv1a(ids):
    digest = 0xCBF29CE484222325
    for byte in b"".join(struct.pack("<i", i) for i in ids):
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


def random_texts(count):
    """Characters from everywhere, so that each class meets each other."""
    rng = random.Random(3)
    assigned = [chr(c) for c in range(1, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    assigned.remove("\U00011938")  # its decomposition is newer than the reference's tables
    plain = [chr(c) for c in range(0x20, 0x250)] + list("\u0300\u0301\u0323\u200d\ufe0f\u3000 ")
    return ["".join(rng.choice(assigned if rng.random() < 0.4 else plain) for _ in range(24)) for _ in range(count)]


def xquad_texts(folder, language):
    """Every paragraph, followed by its questions, in the file's order."""
    data = json.loads((folder / f"xquad.{language}.json").read_text())["data"]
    for article in data:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"]
            for question in paragraph["qas"]:
                yield question["question"]


def make_tokens(encode, xquad):
    texts = ODD_TEXTS + random_texts(150)
    return {
        "max_tokens": MAX_TOKENS,
        "texts": [{"text": text, "ids": encode(text)} for text in texts],
        "xquad_fnv1a": {language: [fnv1a(encode(text)) for text in texts] for language, texts in xquad.items()},
    }


def make_vectors(folder, encode, xquad):
    model = FlaxBertModel.from_pretrained(folder, dtype=jnp.float32)

    def embed(text):
        ids = np.array([encode(text)])
        # Padded to few lengths, as each new shape is compiled; the mask leaves the padding out.
        padded = np.zeros((1, -(-ids.shape[1] // 32) * 32), dtype=np.int32)
        padded[:, : ids.shape[1]] = ids
        mask = (np.arange(padded.shape[1]) < ids.shape[1])[None].astype(np.int32)
        rows = np.asarray(model(padded, mask).last_hidden_state, dtype=np.float64)[0, : ids.shape[1]]
        mean = rows.mean(axis=0)
        vector = (mean / np.linalg.norm(mean)).astype("<f4")
        return base64.b64encode(vector.tobytes()).decode()

    own = [{"language": k, "text": text, "vector": embed(text)} for k, texts in SENTENCES.items() for text in texts]
    places = [(language, place) for language in xquad for place in (0, 1, 200, 600, 1000)]
    quoted = [{"language": k, "place": place, "vector": embed(xquad[k][place])} for k, place in places]
    return {"reference": "transformers 4.44.2 FlaxBertModel float32, mean pooling, L2 norm", "own": own, "xquad": quoted}


def write(name, golden):
    lines = json.dumps(golden, ensure_ascii=True, indent=None, separators=(",", ":")).replace('},{"', '},\n{"')
    (HERE / name).write_text(lines + "\n")


def main():
    folder, shared = map(pathlib.Path, sys.argv[1:3])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    xquad = {language: list(xquad_texts(shared, language)) for language in ("en", "vi", "zh")}

    def encode(text):
        return tokenizer.encode(text).ids

    write("golden_tokens.json", make_tokens(encode, xquad))
    write("golden_vectors.json", make_vectors(str(folder), encode, xquad))


main()
