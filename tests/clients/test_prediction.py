"""Predicted output: the same answer, and its tokens counted."""

import openai
import pytest

NO_STORE = {"cache-control": "no-store"}
LIST = "apple, pear, plum, cherry, quince, medlar, peach, apricot, fig, date, lemon, lime"


def ask(client, system, **more):
    messages = [system, {"role": "user", "content": f"Repeat this list, word for word: {LIST}"}]
    return client.chat.completions.create(model="smollm2", messages=messages, max_tokens=48, temperature=0,
                                          extra_headers=NO_STORE, **more)


def predicted(usage):
    details = usage.completion_tokens_details
    return details.accepted_prediction_tokens, details.rejected_prediction_tokens


def test_a_prediction_changes_no_answer_and_its_tokens_are_counted(client, system):
    plain = ask(client, system, extra_body={"predict_options": {"tokens": 0}})
    assert predicted(plain.usage) == (0, 0)
    text = plain.choices[0].message.content
    prediction = {"type": "content", "content": [{"type": "text", "text": text}]}
    answer = ask(client, system, prediction=prediction, extra_body={"predict_options": {"tokens": 16}})
    assert answer.choices[0].message.content == text
    accepted, rejected = predicted(answer.usage)
    assert 0 <= accepted <= answer.usage.completion_tokens and rejected >= 0


def test_a_stream_counts_them_as_well(client, system):
    chunks = list(ask(client, system, stream=True, stream_options={"include_usage": True}, prediction={
        "type": "content", "content": LIST}))
    assert chunks[-1].choices == []
    assert min(predicted(chunks[-1].usage)) >= 0


@pytest.mark.parametrize("field", [{"min_p": 0.2}, {"repetition_penalty": 1.1}, {"top_k": 5, "min_p": 0.05}])
def test_the_sampling_of_other_servers_is_honoured(client, system, field):
    request = {"model": "smollm2", "messages": [system, {"role": "user", "content": "Invent a word."}], "max_tokens": 8,
               "seed": 3, "temperature": 1, "extra_headers": NO_STORE, "extra_body": field}
    texts = {client.chat.completions.create(**request).choices[0].message.content for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("field, param", [({"min_p": 2}, "min_p"), ({"repetition_penalty": 0}, "repetition_penalty"),
                                          ({"prediction": {"type": "plan"}}, "prediction.type"),
                                          ({"predict_options": {"tokens": -1}}, "predict_options.tokens")])
def test_what_does_not_fit_is_named(client, system, field, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="smollm2", messages=[system], extra_body=field)
    assert refused.value.body["param"] == param
