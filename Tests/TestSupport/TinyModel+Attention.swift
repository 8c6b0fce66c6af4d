// One tiny model for each kind of attention that is more than softmax over keys and values of one width.

import Foundation

extension TinyModel {
  /// How a tiny model's layers attend.
  package enum Attention: String, CaseIterable {
    case sinks, latent, narrowValues, sharedKeys, chunks, cap, distance, gaps
  }

  package static func attending(_ attention: Attention, context: UInt32 = 1 << 14) -> TinyModel {
    switch attention {
    case .sinks: sinks(context)
    case .latent: latent(context)
    case .narrowValues: narrowValues(context)
    case .sharedKeys: sharedKeys(context)
    case .chunks: chunks(context)
    case .cap: cap(context)
    case .distance: distance(context)
    case .gaps: gaps(context)
    }
  }

  package static let window = 48
  /// The host has one size of chunks for all models.
  package static let chunk = 8192

  private mutating func set(_ key: String, _ value: UInt32) {
    extra.append(("\(architecture).\(key)", TinyGGUF.scalar(value)))
  }

  private mutating func set(_ key: String, _ value: Float) {
    extra.append(("\(architecture).\(key)", TinyGGUF.bytes(UInt32(6)) + TinyGGUF.bytes(value.bitPattern)))
  }

  private mutating func set(_ key: String, _ values: [UInt32]) {
    extra.append(("\(architecture).\(key)", TinyGGUF.array(4, values.map { TinyGGUF.bytes($0) })))
  }

  private mutating func set(_ key: String, _ flags: [Bool]) {
    extra.append(("\(architecture).\(key)", TinyGGUF.array(7, flags.map { [$0 ? 1 : 0] })))
  }

  /// Granite with sinks, and a window in its first layer.
  private static func sinks(_ context: UInt32) -> TinyModel {
    var model = TinyModel("granite_swa", context: context)
    model.set("logit_scale", Float(1))
    model.set("attention.sliding_window", UInt32(window))
    model.set("attention.sliding_window_pattern", [true, false])
    model.set("rope.dimension_count", UInt32(width / heads))
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.addAttention(layer, (width, width, width))
      // About as much as all keys together.
      model.set("blk.\(layer).attn_sinks.weight", [heads], [5, 6.5])
      model.addForward(layer)
    }
    return model
  }

  /// DeepSeek V2 with four heads of one latent key of 48 and 16, and no experts.
  private static func latent(_ context: UInt32) -> TinyModel {
    var model = TinyModel("deepseek2", context: context)
    let (heads, plain, rotated, latent, value) = (4, 16, 16, 48, 24)
    model.set("leading_dense_block_count", UInt32(layers))
    model.set("attention.head_count", UInt32(heads))
    model.set("attention.head_count_kv", UInt32(1))
    model.set("attention.q_lora_rank", UInt32(0))
    model.set("attention.kv_lora_rank", UInt32(latent))
    model.set("attention.key_length", UInt32(latent + rotated))
    model.set("attention.value_length", UInt32(latent))
    model.set("attention.key_length_mla", UInt32(plain + rotated))
    model.set("attention.value_length_mla", UInt32(value))
    model.set("rope.dimension_count", UInt32(rotated))
    model.set("expert_shared_count", UInt32(0))
    model.set("expert_feed_forward_length", UInt32(forward))
    model.addEnds()
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.add(name + "attn_kv_a_norm.weight", [latent], constant: 1)
      model.add(name + "attn_q.weight", [width, heads * (plain + rotated)])
      model.add(name + "attn_kv_a_mqa.weight", [width, latent + rotated])
      model.add(name + "attn_k_b.weight", [plain, latent, heads])
      model.add(name + "attn_v_b.weight", [latent, value, heads])
      model.add(name + "attn_output.weight", [heads * value, width])
      model.addForward(layer)
    }
    return model
  }

  /// MiniCPM 3: keys of 32, values of 16.
  private static func narrowValues(_ context: UInt32) -> TinyModel {
    var model = TinyModel("minicpm3", context: context)
    let (plain, rotated, rank, value) = (16, 16, 32, 16)
    model.set("attention.q_lora_rank", UInt32(rank))
    model.set("attention.kv_lora_rank", UInt32(rank))
    model.set("attention.key_length", UInt32(plain + rotated))
    model.set("attention.value_length", UInt32(value))
    model.set("rope.dimension_count", UInt32(rotated))
    model.addEnds()
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.add(name + "attn_q_a_norm.weight", [rank], constant: 1)
      model.add(name + "attn_kv_a_norm.weight", [rank], constant: 1)
      model.add(name + "attn_q_a.weight", [width, rank])
      model.add(name + "attn_q_b.weight", [rank, heads * (plain + rotated)])
      model.add(name + "attn_kv_a_mqa.weight", [width, rank + rotated])
      model.add(name + "attn_kv_b.weight", [rank, heads * (plain + value)])
      model.add(name + "attn_output.weight", [heads * value, width])
      model.addForward(layer)
    }
    return model
  }

  /// Gemma 4 whose layers 2 and 3 read the keys of 0, which has a window, and 1.
  private static func sharedKeys(_ context: UInt32) -> TinyModel {
    var model = TinyModel("gemma4", context: context)
    let (layers, d) = (4, width / heads)
    model.set("block_count", UInt32(layers))
    model.set("embedding_length_per_layer_input", UInt32(0))
    model.set("attention.shared_kv_layers", UInt32(2))
    model.set("attention.sliding_window", UInt32(window))
    model.set("attention.sliding_window_pattern", [true, false, true, false])
    for key in ["key_length", "value_length", "key_length_swa", "value_length_swa"] {
      model.set("attention.\(key)", UInt32(d))
    }
    model.addEnds(deviation: 0.125)
    model.set("rope_freqs.weight", [d / 2], [Float](repeating: 1, count: d / 2))
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      model.addNorms(layer, ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"])
      model.addAttention(layer, (width, width, width))
      model.add(name + "attn_q_norm.weight", [d], constant: 0.75)
      model.add(name + "attn_k_norm.weight", [d], constant: 0.75)
      model.addForward(layer)
    }
    return model
  }

  /// Llama 4 of dense layers, all but the last with chunks: the host wants one without.
  private static func chunks(_ context: UInt32) -> TinyModel {
    var model = TinyModel("llama4", context: context)
    let layers = 4
    model.set("block_count", UInt32(layers))
    model.set("interleave_moe_layer_step", UInt32(0))
    model.set("expert_count", UInt32(1))
    model.set("expert_used_count", UInt32(1))
    model.set("expert_feed_forward_length", UInt32(forward))
    model.set("rope.dimension_count", UInt32(width / heads))
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.addAttention(layer, (width, width, width))
      model.addForward(layer)
    }
    return model
  }

  /// Gemma 2, with a window in its first layer.
  private static func cap(_ context: UInt32) -> TinyModel {
    var model = TinyModel("gemma2", context: context)
    model.set("attn_logit_softcapping", Float(2))
    model.set("attention.sliding_window", UInt32(window))
    for key in ["key_length", "value_length"] { model.set("attention.\(key)", UInt32(width / heads)) }
    model.addEnds(separateOutput: false, deviation: 0.125)
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"])
      model.addAttention(layer, (width, width, width))
      model.addForward(layer)
    }
    return model
  }

  /// MPT.
  private static func distance(_ context: UInt32) -> TinyModel {
    var model = TinyModel("mpt", context: context)
    model.set("attention.max_alibi_bias", Float(8))
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.add("blk.\(layer).attn_qkv.weight", [width, 3 * width])
      model.add("blk.\(layer).attn_output.weight", [width, width])
      model.addForward(layer, isGated: false)
    }
    return model
  }

  /// Deci, as Nemotron Super: a layer without anything but products, one with a matrix in the place of attention, and
  /// one whose two heads share a key.
  private static func gaps(_ context: UInt32) -> TinyModel {
    var model = TinyModel("deci", context: context)
    let (heads, keys) = ([2, 0, 2, 2], [2, 0, 0, 1])
    model.set("block_count", UInt32(heads.count))
    model.set("attention.head_count", heads.map(UInt32.init))
    model.set("attention.head_count_kv", keys.map(UInt32.init))
    model.set("rope.dimension_count", UInt32(width / Self.heads))
    model.addEnds()
    for layer in heads.indices {
      if heads[layer] > 0 { model.addNorms(layer, ["attn_norm"]) }
      if keys[layer] > 0 {
        let columns = keys[layer] * width / Self.heads
        model.addAttention(layer, (width, columns, columns))
      } else if heads[layer] > 0 {
        model.add("blk.\(layer).attn_output.weight", [width, width])
      }
      model.addNorms(layer, ["ffn_norm"])
      model.addForward(layer)
    }
    return model
  }
}
