"""Writes a GGUF model of the llama architecture with random weights.

What it says is noise; its time, memory and traffic are those of a real model of that shape. The vocabulary is another
model's, so that any text can be read.
"""

import argparse
import math
import os
import pathlib
import random
import struct

import console
from console import Failure, say

F32, F16, Q8_0 = 0, 1, 8
ALIGNMENT = 32
FILE_TYPES = {F16: 1, Q8_0: 7}
# GGUF's types of values: sizes of those that have one.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT32, FLOAT32 = 8, 9, 4, 6
CHUNK = 1 << 22  # weights that are made at once


class Source:
    """The metadata of a GGUF file, as bytes."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.file = file
                if file.read(4) != b"GGUF":
                    raise Failure(f"{path} is not a GGUF file.")
                version, _, count = self.read("<IQQ")
                if version not in (2, 3):
                    raise Failure(f"{path} is of GGUF version {version}; 2 and 3 can be read.")
                self.values = {}
                for _ in range(count):
                    key = self.string()
                    start = file.tell()
                    self.skip(*self.read("<I"))
                    end = file.tell()
                    file.seek(start)
                    self.values[key] = file.read(end - start)
        except OSError as error:
            raise Failure(f"{path} cannot be read: {error.strerror}.") from None
        except (struct.error, UnicodeDecodeError):
            raise Failure(f"{path} ends in the middle of its header.") from None

    def read(self, layout):
        return struct.unpack(layout, self.file.read(struct.calcsize(layout)))

    def string(self):
        (length,) = self.read("<Q")
        if length > 1 << 24:
            raise Failure(f"{self.path} has a string of {length} bytes in its header.")
        return self.file.read(length).decode()

    def skip(self, kind):
        if kind in SIZES:
            self.file.seek(SIZES[kind], os.SEEK_CUR)
        elif kind == STRING:
            self.string()
        elif kind == ARRAY:
            element, count = self.read("<IQ")
            if element in SIZES:
                self.file.seek(SIZES[element] * count, os.SEEK_CUR)
            else:
                for _ in range(count):
                    self.skip(element)
        else:
            raise Failure(f"{self.path} has a value of unknown type {kind} in its header.")

    def vocabulary_size(self):
        tokens = self.values.get("tokenizer.ggml.tokens")
        if tokens is None:
            raise Failure(f"{self.path} has no vocabulary.")
        return struct.unpack_from("<IQ", tokens, 4)[1]


def encoded(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


class Weights:
    """Random numbers of a standard deviation, in the bytes of a type."""

    def __init__(self, kind, seed):
        self.kind = kind
        self.random = random.Random(seed)

    def byte_count(self, count):
        return count * 34 // 32 if self.kind == Q8_0 else count * 2

    def chunk(self, count, deviation):
        if self.kind == Q8_0:
            # Blocks of a scale and 32 bytes, which are evenly spread from -128 to 127.
            blocks = bytearray(self.random.randbytes(count // 32 * 34))
            low, high = struct.pack("<e", deviation / 73.9)
            blocks[0::34] = bytes([low]) * (count // 32)
            blocks[1::34] = bytes([high]) * (count // 32)
            return blocks
        # Any sign and mantissa, an exponent that all have: from 1 to 2 times a power of two, 1.53 in the mean square.
        exponent = max(1, min(30, round(math.log2(deviation / 1.53)) + 15))
        halves = bytearray(self.random.randbytes(2 * count))
        table = bytes((byte & 0x83) | exponent << 2 for byte in range(256))
        halves[1::2] = halves[1::2].translate(table)
        return halves

    def write(self, file, count, deviation):
        while count > 0:
            part = min(count, CHUNK)
            file.write(self.chunk(part, deviation))
            count -= part


def shape(arguments):
    """Names, dimensions and deviations (None for ones) of the tensors, without the vocabulary's."""
    width, forward = arguments.embedding, arguments.feed_forward
    heads, kv_heads = arguments.heads * arguments.width, arguments.kv_heads * arguments.width
    for layer in range(arguments.layers):
        name = f"blk.{layer}."
        yield name + "attn_norm.weight", (width,), None
        yield name + "attn_q.weight", (width, heads), width**-0.5
        yield name + "attn_k.weight", (width, kv_heads), width**-0.5
        yield name + "attn_v.weight", (width, kv_heads), width**-0.5
        yield name + "attn_output.weight", (heads, width), heads**-0.5
        yield name + "ffn_norm.weight", (width,), None
        yield name + "ffn_gate.weight", (width, forward), width**-0.5
        yield name + "ffn_up.weight", (width, forward), width**-0.5
        yield name + "ffn_down.weight", (forward, width), forward**-0.5


def write(arguments, source, path):
    kind = Q8_0 if arguments.type == "q8_0" else F16
    vocabulary = source.vocabulary_size()
    tensors = [("token_embd.weight", (arguments.embedding, vocabulary), 1.0)]
    tensors += shape(arguments)
    tensors += [
        ("output_norm.weight", (arguments.embedding,), None),
        ("output.weight", (arguments.embedding, vocabulary), arguments.embedding**-0.5),
    ]
    weights = Weights(kind, arguments.seed)
    metadata = {
        "general.architecture": struct.pack("<I", STRING) + encoded("llama"),
        "general.name": struct.pack("<I", STRING) + encoded("random weights"),
        "general.file_type": struct.pack("<II", UINT32, FILE_TYPES[kind]),
        "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", FLOAT32, 1e-5),
        "llama.rope.freq_base": struct.pack("<If", FLOAT32, 500000.0),
    }
    for key, value in [
        ("block_count", arguments.layers), ("context_length", arguments.context),
        ("embedding_length", arguments.embedding), ("feed_forward_length", arguments.feed_forward),
        ("attention.head_count", arguments.heads), ("attention.head_count_kv", arguments.kv_heads),
        ("attention.key_length", arguments.width), ("attention.value_length", arguments.width),
        ("rope.dimension_count", arguments.width), ("vocab_size", vocabulary),
    ]:
        metadata["llama." + key] = struct.pack("<II", UINT32, value)
    metadata.update({key: value for key, value in source.values.items() if key.startswith("tokenizer.")})

    def size(dimensions, deviation):
        count = math.prod(dimensions)
        return 4 * count if deviation is None else weights.byte_count(count)

    def aligned(offset):
        return (offset + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    offset = 0
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        for key, value in metadata.items():
            file.write(encoded(key) + value)
        for name, dimensions, deviation in tensors:
            file.write(encoded(name) + struct.pack("<I", len(dimensions)))
            file.write(struct.pack(f"<{len(dimensions)}Q", *dimensions))
            file.write(struct.pack("<IQ", F32 if deviation is None else kind, offset))
            offset += aligned(size(dimensions, deviation))
        total = offset
        done = 0
        file.write(bytes(aligned(file.tell()) - file.tell()))
        console.require_space(path.parent, total, f"a model of {total / 1e9:.1f} GB")
        progress = console.Progress()
        for _, dimensions, deviation in tensors:
            count = math.prod(dimensions)
            if deviation is None:
                file.write(struct.pack("<f", 1) * count)
            else:
                weights.write(file, count, deviation)
            file.write(bytes(aligned(file.tell()) - file.tell()))
            done += aligned(size(dimensions, deviation))
            progress.show(f"make-model: {done / 1e9:.1f} of {total / 1e9:.1f} GB")
        progress.close()


def parse():
    parser = argparse.ArgumentParser(
        prog="make-model",
        description="Writes a GGUF model of the llama architecture with random weights: what it says is noise, its time "
        "and memory are those of a real model. The default is the shape of Llama 3's 8B.")
    parser.add_argument("output", type=pathlib.Path, help="the file to write")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True, help="a GGUF file whose vocabulary to take")
    parser.add_argument("--type", choices=["q8_0", "f16"], default="q8_0", help="of the weights (default: q8_0)")
    for name, default, text in [
        ("layers", 32, "layers"), ("heads", 32, "query heads"), ("kv-heads", 8, "key and value heads"),
        ("width", 128, "elements of a head"), ("embedding", 4096, "width of the model"),
        ("feed-forward", 14336, "width between"), ("context", 131072, "tokens it claims to be trained for"),
        ("seed", 1, "of the random numbers"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: {default})")
    arguments = parser.parse_args()
    for name in ("layers", "heads", "kv_heads", "width", "embedding", "feed_forward", "context"):
        value = getattr(arguments, name)
        if value < 1:
            raise Failure(f"--{name.replace('_', '-')} is {value}, but must be positive.")
    for name in ("embedding", "feed_forward", "width"):
        value = getattr(arguments, name)
        if value % 32:
            raise Failure(f"--{name.replace('_', '-')} is {value}, but must be a multiple of 32.")
    if arguments.heads % arguments.kv_heads:
        raise Failure(f"--heads is {arguments.heads}, but must be a multiple of --kv-heads, {arguments.kv_heads}.")
    return arguments


def main():
    arguments = parse()
    source = Source(arguments.vocabulary)
    partial = arguments.output.with_name(arguments.output.name + ".part")
    try:
        write(arguments, source, partial)
        os.replace(partial, arguments.output)
    except OSError as error:
        raise Failure(f"{arguments.output} could not be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    say(f"make-model: {arguments.output.stat().st_size / 1e9:.2f} GB")
    print(arguments.output)
    return 0


console.run("make-model", main)
