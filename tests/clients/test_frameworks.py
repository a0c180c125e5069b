"""litellm, llama-index and instructor as their users have them: only base_url differs."""

import asyncio

import pydantic
import pytest

litellm = pytest.importorskip("litellm", reason="needs requirements-frameworks.txt")
instructor = pytest.importorskip("instructor")
llms = pytest.importorskip("llama_index.llms.openai_like")
embeddings = pytest.importorskip("llama_index.embeddings.openai_like")

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=120)


@pytest.fixture
def lite(gateway):
    return {"model": "openai/smollm2", "api_base": gateway.url + "/v1", "api_key": "none", "temperature": 0, "max_tokens": 24,
            "num_retries": 0}


@pytest.fixture
def llama(gateway):
    return llms.OpenAILike(model="smollm2", api_base=gateway.url + "/v1", api_key="none", is_chat_model=True, temperature=0,
                           max_tokens=24, max_retries=0, is_function_calling_model=True)


def test_litellm_asks_and_streams_the_same(lite):
    answer = litellm.completion(messages=FRANCE, **lite)
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    chunks = litellm.completion(messages=FRANCE, stream=True, **lite)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer.choices[0].message.content


def test_litellm_asks_at_once_without_waiting(lite):
    async def ask_all():
        return await asyncio.gather(*(litellm.acompletion(messages=[{"role": "user", "content": f"What is {n} plus {n}?"}], **lite)
                                      for n in range(4)))
    assert all(answer.choices[0].message.content for answer in asyncio.run(ask_all()))


def test_litellm_raises_what_the_server_says(lite):
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(messages=FRANCE, **{**lite, "model": "openai/nobody"})
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(messages=FRANCE, **{**lite, "max_tokens": -1})


def test_litellm_embeds(gateway):
    answer = litellm.embedding(model="openai/all-minilm-l6-v2", input=["one", "two"], api_base=gateway.url + "/v1", api_key="none")
    assert [len(item["embedding"]) for item in answer.data] == [384, 384]


def test_llama_index_chats_completes_and_streams(llama):
    from llama_index.core.llms import ChatMessage
    answer = llama.chat([ChatMessage(role="user", content=FRANCE[0]["content"])]).message.content
    assert "Paris" in answer
    assert "".join(piece.delta for piece in llama.stream_chat([ChatMessage(role="user", content=FRANCE[0]["content"])])) == answer
    assert llama.complete("Say hello.").text


def test_llama_index_retrieves_with_our_vectors(gateway):
    embed = embeddings.OpenAILikeEmbedding(model_name="all-minilm-l6-v2", api_base=gateway.url + "/v1", api_key="none", max_retries=0)
    question, same, other = embed.get_text_embedding_batch(["How do I reset my password?", "I forgot my password", "Bananas are yellow"])
    assert embed.similarity(question, same) > embed.similarity(question, other)


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_instructor_gets_its_model(gateway, mode):
    import openai
    client = instructor.from_openai(openai.OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0), mode=instructor.Mode[mode])
    person = client.chat.completions.create(model="smollm2", response_model=Person, max_retries=3, temperature=0, max_tokens=100,
                                            messages=[{"role": "user", "content": "Ann is 31 years old. Who is she? Give name and age."}])
    assert isinstance(person, Person) and 0 <= person.age <= 120
