"""The official client of OpenAI, unmodified, against `stenogram serve`: prints what it gets as JSON.

serve.py BASE_URL KEY RECORDING NOT_A_RECORDING
"""

import json
import sys

import openai

base, key, recording, noise = sys.argv[1:]
client = openai.OpenAI(base_url=base, api_key=key, max_retries=0)


def transcribe(**options):
    with open(recording, "rb") as file:
        return client.audio.transcriptions.create(model="whisper-1", file=file, **options)


def error(call):
    try:
        call()
    except openai.APIStatusError as problem:
        return [type(problem).__name__, problem.status_code, problem.code, problem.message]
    return None


verbose = transcribe(
    response_format="verbose_json",
    language="en",
    prompt="zero",
    temperature=0,
    timestamp_granularities=["segment"],
)
words = transcribe(response_format="verbose_json", timestamp_granularities=["word"])
with open(recording, "rb") as file:
    translation = error(lambda: client.audio.translations.create(model="whisper-1", file=file))
stranger = openai.OpenAI(base_url=base, api_key="wrong", max_retries=0)
print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "json": transcribe().text,
            "text": transcribe(response_format="text"),
            "srt": transcribe(response_format="srt"),
            "vtt": transcribe(response_format="vtt"),
            "verbose": [verbose.text, verbose.language, verbose.duration, verbose.segments[0].end],
            "translation": translation,
            "words": [[word.word, word.start, word.end] for word in words.words],
            "stream": [
                [event.type, event.delta if event.type.endswith("delta") else event.text]
                for event in transcribe(stream=True)
            ],
            "noise": error(
                lambda: client.audio.transcriptions.create(model="whisper-1", file=open(noise, "rb"))
            ),
            "key": error(lambda: stranger.models.list()),
        }
    )
)
