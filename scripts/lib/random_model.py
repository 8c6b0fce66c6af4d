"""Writes a GGUF model with random weights: of plain attention, of a hybrid, or of latent attention.

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


class Tensor:
    """One matrix: random with a standard deviation, or a constant. Small ones stay in 32 bits, as the host wants them."""

    def __init__(self, name, dimensions, deviation=None, constant=1.0, is_small=False):
        self.name, self.dimensions, self.deviation, self.constant = name, dimensions, deviation, constant
        self.is_small = is_small or deviation is None
        self.count = math.prod(dimensions)

    def byte_count(self, weights):
        return 4 * self.count if self.is_small else weights.byte_count(self.count)

    def write(self, file, weights):
        if not self.is_small:
            weights.write(file, self.count, self.deviation)
        elif self.deviation is None:
            file.write(struct.pack("<f", self.constant) * self.count)
        else:
            values = (weights.random.gauss(0, self.deviation) for _ in range(self.count))
            file.write(struct.pack(f"<{self.count}f", *values))


def matrix(name, inputs, *others, is_small=False):
    return Tensor(name, (inputs, *others), inputs**-0.5, is_small=is_small)


class Llama:
    """Plain attention; the default is the shape of Llama 3's 8B."""

    name = "llama"
    defaults = {"layers": 32, "heads": 32, "kv_heads": 8, "width": 128, "embedding": 4096, "feed_forward": 14336}

    def metadata(self, shape):
        return {"attention.head_count_kv": shape.kv_heads, "attention.key_length": shape.width,
                "attention.value_length": shape.width, "rope.dimension_count": shape.width}

    def layer(self, shape, number, name):
        yield Tensor(name + "attn_norm.weight", (shape.embedding,))
        yield matrix(name + "attn_q.weight", shape.embedding, shape.heads * shape.width)
        yield matrix(name + "attn_k.weight", shape.embedding, shape.kv_heads * shape.width)
        yield matrix(name + "attn_v.weight", shape.embedding, shape.kv_heads * shape.width)
        yield matrix(name + "attn_output.weight", shape.heads * shape.width, shape.embedding)
        yield from self.forward(shape, name)

    def forward(self, shape, name):
        yield Tensor(name + "ffn_norm.weight", (shape.embedding,))
        yield matrix(name + "ffn_gate.weight", shape.embedding, shape.feed_forward)
        yield matrix(name + "ffn_up.weight", shape.embedding, shape.feed_forward)
        yield matrix(name + "ffn_down.weight", shape.feed_forward, shape.embedding)


class Hybrid(Llama):
    """Three layers of four are recurrent; the default is the shape of Qwen3.6's 35B-A3B, with the experts in use."""

    name = "qwen35moe"
    defaults = {"layers": 40, "heads": 16, "kv_heads": 2, "width": 256, "embedding": 2048, "feed_forward": 512}
    experts = 8
    kernel, state, key_heads, value_heads = 4, 128, 16, 32

    def metadata(self, shape):
        quarter = shape.width // 8
        return super().metadata(shape) | {
            "rope.dimension_count": shape.width // 4, "full_attention_interval": 4,
            "rope.dimension_sections": [quarter // 3 + 1, quarter // 3 + 1, quarter - 2 * (quarter // 3 + 1), 0],
            "ssm.conv_kernel": self.kernel, "ssm.state_size": self.state, "ssm.group_count": self.key_heads,
            "ssm.time_step_rank": self.value_heads, "ssm.inner_size": self.value_heads * self.state,
            "expert_count": self.experts, "expert_used_count": self.experts,
            "expert_feed_forward_length": shape.feed_forward, "expert_shared_feed_forward_length": shape.feed_forward,
        }

    def layer(self, shape, number, name):
        yield Tensor(name + "attn_norm.weight", (shape.embedding,))
        yield Tensor(name + "post_attention_norm.weight", (shape.embedding,))
        yield from (self.attention if number % 4 == 3 else self.recurrence)(shape, name)
        yield matrix(name + "ffn_gate_inp.weight", shape.embedding, self.experts, is_small=True)
        yield matrix(name + "ffn_gate_exps.weight", shape.embedding, shape.feed_forward, self.experts)
        yield matrix(name + "ffn_up_exps.weight", shape.embedding, shape.feed_forward, self.experts)
        yield matrix(name + "ffn_down_exps.weight", shape.feed_forward, shape.embedding, self.experts)
        yield matrix(name + "ffn_gate_inp_shexp.weight", shape.embedding, is_small=True)
        yield matrix(name + "ffn_gate_shexp.weight", shape.embedding, shape.feed_forward)
        yield matrix(name + "ffn_up_shexp.weight", shape.embedding, shape.feed_forward)
        yield matrix(name + "ffn_down_shexp.weight", shape.feed_forward, shape.embedding)

    def attention(self, shape, name):
        # Queries come with gates for the outputs.
        yield matrix(name + "attn_q.weight", shape.embedding, 2 * shape.heads * shape.width)
        yield matrix(name + "attn_k.weight", shape.embedding, shape.kv_heads * shape.width)
        yield matrix(name + "attn_v.weight", shape.embedding, shape.kv_heads * shape.width)
        yield matrix(name + "attn_output.weight", shape.heads * shape.width, shape.embedding)
        yield Tensor(name + "attn_q_norm.weight", (shape.width,))
        yield Tensor(name + "attn_k_norm.weight", (shape.width,))

    def recurrence(self, shape, name):
        keys, values = self.key_heads * self.state, self.value_heads * self.state
        yield matrix(name + "attn_qkv.weight", shape.embedding, 2 * keys + values)
        yield matrix(name + "attn_gate.weight", shape.embedding, values)
        yield matrix(name + "ssm_conv1d.weight", self.kernel, 2 * keys + values, is_small=True)
        yield Tensor(name + "ssm_dt.bias", (self.value_heads,), constant=0.0)
        yield Tensor(name + "ssm_a", (self.value_heads,), constant=-0.05)
        yield matrix(name + "ssm_beta.weight", shape.embedding, self.value_heads)
        yield matrix(name + "ssm_alpha.weight", shape.embedding, self.value_heads)
        yield Tensor(name + "ssm_norm.weight", (self.state,))
        yield matrix(name + "ssm_out.weight", values, shape.embedding)


class Latent(Llama):
    """Latent attention, whose query heads share one key; the default is the attention of DeepSeek V3, in few layers."""

    name = "deepseek2"
    defaults = {"layers": 4, "heads": 128, "kv_heads": 1, "width": 128, "embedding": 7168, "feed_forward": 2048}
    latent, rotated = 512, 64

    def metadata(self, shape):
        key = shape.width + self.rotated
        return {"attention.head_count_kv": 1, "attention.key_length": self.latent + self.rotated,
                "attention.value_length": self.latent, "attention.key_length_mla": key,
                "attention.value_length_mla": shape.width, "attention.kv_lora_rank": self.latent,
                "attention.q_lora_rank": 1536, "rope.dimension_count": self.rotated,
                "leading_dense_block_count": shape.layers, "expert_count": 0, "expert_used_count": 0, "expert_shared_count": 0,
                "expert_feed_forward_length": 64, "expert_weights_scale": 1.0}

    def layer(self, shape, number, name):
        key = shape.width + self.rotated
        yield Tensor(name + "attn_norm.weight", (shape.embedding,))
        yield matrix(name + "attn_q_a.weight", shape.embedding, 1536)
        yield Tensor(name + "attn_q_a_norm.weight", (1536,))
        yield matrix(name + "attn_q_b.weight", 1536, shape.heads * key)
        yield matrix(name + "attn_kv_a_mqa.weight", shape.embedding, self.latent + self.rotated)
        yield Tensor(name + "attn_kv_a_norm.weight", (self.latent,))
        yield matrix(name + "attn_k_b.weight", shape.width, self.latent, shape.heads)
        yield matrix(name + "attn_v_b.weight", self.latent, shape.width, shape.heads)
        yield matrix(name + "attn_output.weight", shape.heads * shape.width, shape.embedding)
        yield from self.forward(shape, name)


ARCHITECTURES = {kind.name: kind() for kind in (Llama, Hybrid, Latent)}


def packed(value):
    """A metadata value: a text, an integer, a number, or a list of integers."""
    if isinstance(value, str):
        return struct.pack("<I", STRING) + encoded(value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    if isinstance(value, list):
        return struct.pack(f"<IIQ{len(value)}I", ARRAY, UINT32, len(value), *value)
    return struct.pack("<II", UINT32, value)


def write(arguments, source, path):
    kind = Q8_0 if arguments.type == "q8_0" else F16
    architecture = ARCHITECTURES[arguments.architecture]
    vocabulary = source.vocabulary_size()
    tensors = [Tensor("token_embd.weight", (arguments.embedding, vocabulary), 1.0)]
    for layer in range(arguments.layers):
        tensors += architecture.layer(arguments, layer, f"blk.{layer}.")
    tensors += [
        Tensor("output_norm.weight", (arguments.embedding,)),
        matrix("output.weight", arguments.embedding, vocabulary),
    ]
    weights = Weights(kind, arguments.seed)
    own = {
        "block_count": arguments.layers, "context_length": arguments.context, "vocab_size": vocabulary,
        "embedding_length": arguments.embedding, "feed_forward_length": arguments.feed_forward,
        "attention.head_count": arguments.heads, "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 500000.0,
    } | architecture.metadata(arguments)
    metadata = {
        "general.architecture": packed(architecture.name),
        "general.name": packed("random weights"),
        "general.file_type": packed(FILE_TYPES[kind]),
    }
    metadata.update({f"{architecture.name}.{key}": packed(value) for key, value in own.items()})
    metadata.update({key: value for key, value in source.values.items() if key.startswith("tokenizer.")})

    def aligned(offset):
        return (offset + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    offset = 0
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        for key, value in metadata.items():
            file.write(encoded(key) + value)
        for tensor in tensors:
            file.write(encoded(tensor.name) + struct.pack("<I", len(tensor.dimensions)))
            file.write(struct.pack(f"<{len(tensor.dimensions)}Q", *tensor.dimensions))
            file.write(struct.pack("<IQ", F32 if tensor.is_small else kind, offset))
            offset += aligned(tensor.byte_count(weights))
        total = offset
        done = 0
        file.write(bytes(aligned(file.tell()) - file.tell()))
        console.require_space(path.parent, total, f"a model of {total / 1e9:.1f} GB")
        progress = console.Progress()
        for tensor in tensors:
            tensor.write(file, weights)
            file.write(bytes(aligned(file.tell()) - file.tell()))
            done += aligned(tensor.byte_count(weights))
            progress.show(f"make-model: {done / 1e9:.1f} of {total / 1e9:.1f} GB")
        progress.close()


def parse():
    parser = argparse.ArgumentParser(
        prog="make-model", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Writes a GGUF model with random weights: what it says is noise, its time and memory are those of "
        "a real model.\n\narchitectures:\n"
        + "\n".join(f"  {name:<10} {kind.__doc__}" for name, kind in ARCHITECTURES.items()))
    parser.add_argument("output", type=pathlib.Path, help="the file to write")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True, help="a GGUF file whose vocabulary to take")
    parser.add_argument(
        "--architecture", choices=list(ARCHITECTURES), default="llama", help="what is in a layer (default: llama)")
    parser.add_argument("--type", choices=["q8_0", "f16"], default="q8_0", help="of the weights (default: q8_0)")
    for name, text in [
        ("layers", "layers"), ("heads", "query heads"), ("kv-heads", "key and value heads"),
        ("width", "elements of a head"), ("embedding", "width of the model"), ("feed-forward", "width between"),
    ]:
        parser.add_argument(f"--{name}", type=int, help=f"{text} (default: the architecture's)")
    parser.add_argument(
        "--context", type=int, default=131072, help="tokens it claims to be trained for (default: 131072)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    arguments = parser.parse_args()
    for name, value in ARCHITECTURES[arguments.architecture].defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
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
