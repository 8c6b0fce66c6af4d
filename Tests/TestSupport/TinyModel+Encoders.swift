// Models that turn texts into vectors.

import Foundation

extension TinyModel {
  /// BERT, whose tokens attend in both directions.
  ///
  /// - Parameter pooling: llama.cpp's number: 1 for the mean, 2 for the first token, 4 for a classifier's score.
  package static func bert(context: UInt32, pooling: UInt32) -> TinyModel {
    var model = TinyModel("bert", context: context)
    model.extra = [
      ("bert.attention.causal", TinyGGUF.bytes(UInt32(7)) + [0]),
      ("bert.pooling_type", TinyGGUF.scalar(pooling)),
      ("tokenizer.ggml.token_type_count", TinyGGUF.scalar(UInt32(2))),
      ("tokenizer.ggml.add_bos_token", TinyGGUF.bytes(UInt32(7)) + [1]),
      ("tokenizer.ggml.add_eos_token", TinyGGUF.bytes(UInt32(7)) + [1]),
    ]
    model.add("token_embd.weight", [width, vocabulary], deviation: 1)
    model.add("token_types.weight", [width, 2], deviation: 0.1)
    model.add("position_embd.weight", [width, Int(context)], deviation: 1)
    func norm(_ name: String) {
      model.add(name + ".weight", [width], constant: 1)
      model.add(name + ".bias", [width], constant: 0)
    }
    func matrix(_ name: String, _ rows: Int, _ columns: Int) {
      model.add(name + ".weight", [rows, columns])
      model.add(name + ".bias", [columns], constant: 0)
    }
    norm("token_embd_norm")
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      for part in ["attn_q", "attn_k", "attn_v", "attn_output"] { matrix(name + part, width, width) }
      norm(name + "attn_output_norm")
      matrix(name + "ffn_up", width, forward)
      matrix(name + "ffn_down", forward, width)
      norm(name + "layer_output_norm")
    }
    if pooling == 4 {
      matrix("cls", width, width)
      matrix("cls.output", width, 1)
    }
    return model
  }

  /// T5, whose decoder attends to what its encoder made of another text.
  package static func t5(context: UInt32) -> TinyModel {
    var model = TinyModel("t5", context: context)
    let buckets = 8
    model.extra = [
      ("t5.attention.relative_buckets_count", TinyGGUF.scalar(UInt32(buckets))),
      ("t5.decoder_start_token_id", TinyGGUF.scalar(UInt32(1))),
    ]
    model.add("token_embd.weight", [width, vocabulary], deviation: 1)
    for part in ["enc", "dec"] {
      model.add("\(part).output_norm.weight", [width], constant: 1)
      for layer in 0..<layers {
        let name = "\(part).blk.\(layer)."
        for norm in part == "dec" ? ["attn_norm", "cross_attn_norm", "ffn_norm"] : ["attn_norm", "ffn_norm"] {
          model.add(name + norm + ".weight", [width], constant: 1)
        }
        for attention in part == "dec" ? ["attn", "cross_attn"] : ["attn"] {
          for matrix in "qkvo" { model.add(name + "\(attention)_\(matrix).weight", [width, width]) }
        }
        if layer == 0 { model.add(name + "attn_rel_b.weight", [heads, buckets], deviation: 1) }
        model.add(name + "ffn_up.weight", [width, forward])
        model.add(name + "ffn_down.weight", [forward, width])
      }
    }
    return model
  }
}
