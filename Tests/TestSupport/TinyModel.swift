// Models of a few thousand random weights that the host can run: what no model at hand has, each mechanism in the
// smallest form.

import Foundation

/// Builds GGUF files with random weights and a vocabulary of bytes.
package struct TinyModel {
  package var architecture: String
  package var context: UInt32
  package var extra: [(key: String, value: [UInt8])] = []
  package var tensors: [(name: String, shape: [Int], values: [Float])] = []
  private var generator = SplitMix(state: 0x1234_5678)

  package static let width = 64
  package static let heads = 2
  package static let layers = 2
  package static let forward = 128
  package static let vocabulary = 3 + 256

  package init(_ architecture: String, context: UInt32) {
    self.architecture = architecture
    self.context = context
  }

  /// Random numbers of the usual deviation for a matrix of so many inputs, or `constant`.
  package mutating func add(_ name: String, _ shape: [Int], constant: Float? = nil, deviation: Float? = nil) {
    let count = shape.reduce(1, *)
    // Large enough that attention is sharp, so that wrong keys show.
    let deviation = deviation ?? 1.5 / Float(shape[0]).squareRoot()
    let values = (0..<count).map { _ in constant ?? generator.normal() * deviation }
    tensors.append((name, shape, values))
  }

  package mutating func set(_ name: String, _ shape: [Int], _ values: [Float]) {
    tensors.append((name, shape, values))
  }

  /// - Parameter deviation: of embeddings, small where the host multiplies them by the root of the width.
  mutating func addEnds(separateOutput: Bool = true, deviation: Float = 1) {
    add("token_embd.weight", [Self.width, Self.vocabulary], deviation: deviation)
    add("output_norm.weight", [Self.width], constant: 1)
    if separateOutput { add("output.weight", [Self.width, Self.vocabulary]) }
  }

  mutating func addNorms(_ layer: Int, _ names: [String]) {
    for name in names { add("blk.\(layer).\(name).weight", [Self.width], constant: 1) }
  }

  /// - Parameter widths: columns of queries, of keys and of values.
  mutating func addAttention(_ layer: Int, _ widths: (Int, Int, Int)) {
    let name = "blk.\(layer)."
    add(name + "attn_q.weight", [Self.width, widths.0])
    add(name + "attn_k.weight", [Self.width, widths.1])
    add(name + "attn_v.weight", [Self.width, widths.2])
    add(name + "attn_output.weight", [widths.0, Self.width])
  }

  mutating func addForward(_ layer: Int, isGated: Bool = true) {
    let name = "blk.\(layer)."
    if isGated { add(name + "ffn_gate.weight", [Self.width, Self.forward]) }
    add(name + "ffn_up.weight", [Self.width, Self.forward])
    add(name + "ffn_down.weight", [Self.forward, Self.width])
  }

  /// Nothing but what most models have.
  package static func llama(context: UInt32) -> TinyModel { plain("llama", context) }

  private static func plain(_ architecture: String, _ context: UInt32) -> TinyModel {
    var model = TinyModel(architecture, context: context)
    model.extra = [("\(architecture).rope.dimension_count", TinyGGUF.scalar(UInt32(width / heads)))]
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      model.addAttention(layer, (width, width, width))
      model.addForward(layer)
    }
    return model
  }

  /// Phi-3 with RoPE factors for contexts up to `original` tokens and for longer ones.
  package static func phi3(original: UInt32, context: UInt32) -> TinyModel {
    var model = TinyModel("phi3", context: context)
    model.extra = [
      ("phi3.rope.scaling.original_context_length", TinyGGUF.scalar(original)),
      ("phi3.rope.dimension_count", TinyGGUF.scalar(UInt32(width / heads))),
    ]
    model.addEnds()
    let pairs = width / heads / 2
    model.set("rope_factors_short.weight", [pairs], [Float](repeating: 1, count: pairs))
    model.set("rope_factors_long.weight", [pairs], (0..<pairs).map { 1 + 0.5 * Float($0) })
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      model.add(name + "attn_norm.weight", [width], constant: 1)
      model.add(name + "attn_qkv.weight", [width, 3 * width])
      model.add(name + "attn_output.weight", [width, width])
      model.add(name + "ffn_norm.weight", [width], constant: 1)
      model.add(name + "ffn_up.weight", [width, 2 * forward])
      model.add(name + "ffn_down.weight", [forward, width])
    }
    return model
  }

  /// GPT-2, which has a row of a table for each position.
  package static func gpt2(context: UInt32) -> TinyModel {
    var model = TinyModel("gpt2", context: context)
    model.add("token_embd.weight", [width, vocabulary], deviation: 1)
    model.add("position_embd.weight", [width, Int(context)], deviation: 1)
    func norm(_ name: String) {
      model.add(name + ".weight", [width], constant: 1)
      model.add(name + ".bias", [width], constant: 0)
    }
    func matrix(_ name: String, _ rows: Int, _ columns: Int) {
      model.add(name + ".weight", [rows, columns])
      model.add(name + ".bias", [columns], constant: 0)
    }
    norm("output_norm")
    for layer in 0..<layers {
      let name = "blk.\(layer)."
      norm(name + "attn_norm")
      matrix(name + "attn_qkv", width, 3 * width)
      matrix(name + "attn_output", width, width)
      norm(name + "ffn_norm")
      matrix(name + "ffn_up", width, forward)
      matrix(name + "ffn_down", forward, width)
    }
    return model
  }

  /// LLaDA, which fills gaps in a text instead of continuing it.
  package static func llada(context: UInt32) -> TinyModel { plain("llada", context) }

  /// Jamba: a Mamba layer, whose state remembers the whole text, before one with attention.
  package static func jamba(context: UInt32) -> TinyModel {
    var model = TinyModel("jamba", context: context)
    model.setRecurrence()
    model.extra.append(
      ("jamba.attention.head_count_kv", TinyGGUF.array(4, [0, UInt32(heads)].map { TinyGGUF.bytes($0) })))
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm", "ffn_norm"])
      if layer == 0 {
        model.addRecurrence(layer, isNormed: true)
      } else {
        model.addAttention(layer, (width, width, width))
      }
      model.addForward(layer)
    }
    return model
  }

  /// Nothing but recurrent layers: no attention to take over.
  package static func mamba(context: UInt32) -> TinyModel {
    var model = TinyModel("mamba", context: context)
    model.setRecurrence()
    model.addEnds()
    for layer in 0..<layers {
      model.addNorms(layer, ["attn_norm"])
      model.addRecurrence(layer, isNormed: false)
    }
    return model
  }

  private static let recurrence = (inner: 2 * width, state: 16, rank: 8, kernel: 4)

  private mutating func setRecurrence() {
    let (inner, state, rank, kernel) = Self.recurrence
    extra = [
      ("\(architecture).ssm.conv_kernel", TinyGGUF.scalar(UInt32(kernel))),
      ("\(architecture).ssm.inner_size", TinyGGUF.scalar(UInt32(inner))),
      ("\(architecture).ssm.state_size", TinyGGUF.scalar(UInt32(state))),
      ("\(architecture).ssm.time_step_rank", TinyGGUF.scalar(UInt32(rank))),
    ]
  }

  private mutating func addRecurrence(_ layer: Int, isNormed: Bool) {
    let (inner, state, rank, kernel) = Self.recurrence
    let width = Self.width
    let name = "blk.\(layer)."
    add(name + "ssm_in.weight", [width, 2 * inner])
    add(name + "ssm_conv1d.weight", [kernel, inner])
    add(name + "ssm_conv1d.bias", [inner], constant: 0)
    add(name + "ssm_x.weight", [inner, rank + 2 * state])
    if isNormed { add(name + "ssm_dt_norm.weight", [rank], constant: 1) }
    add(name + "ssm_dt.weight", [rank, inner])
    add(name + "ssm_dt.bias", [inner], constant: -1)
    if isNormed {
      add(name + "ssm_b_norm.weight", [state], constant: 1)
      add(name + "ssm_c_norm.weight", [state], constant: 1)
    }
    // With so slow a decay the first tokens count after hundreds of others.
    add(name + "ssm_a", [state, inner], constant: -0.002)
    add(name + "ssm_d", [inner], constant: 1)
    add(name + "ssm_out.weight", [inner, width])
  }

  package func build() -> [UInt8] {
    func number(_ value: Float) -> [UInt8] { TinyGGUF.bytes(UInt32(6)) + TinyGGUF.bytes(value.bitPattern) }
    let tokens = ["<unk>", "<s>", "</s>"] + (0..<256).map { String(format: "<0x%02X>", $0) }
    // Unknown, control, control, bytes.
    let types: [Int32] = [2, 3, 3] + [Int32](repeating: 6, count: 256)
    var metadata: [(key: String, value: [UInt8])] = [
      ("general.architecture", TinyGGUF.scalar(architecture)),
      // The host looks for tokens of its own in vocabularies of models that are called phi3.
      ("general.name", TinyGGUF.scalar("tiny")),
      ("\(architecture).block_count", TinyGGUF.scalar(UInt32(Self.layers))),
      ("\(architecture).context_length", TinyGGUF.scalar(context)),
      ("\(architecture).embedding_length", TinyGGUF.scalar(UInt32(Self.width))),
      ("\(architecture).feed_forward_length", TinyGGUF.scalar(UInt32(Self.forward))),
      ("\(architecture).attention.head_count", TinyGGUF.scalar(UInt32(Self.heads))),
      ("\(architecture).attention.head_count_kv", TinyGGUF.scalar(UInt32(Self.heads))),
      ("\(architecture).attention.layer_norm_rms_epsilon", number(1e-5)),
      ("\(architecture).attention.layer_norm_epsilon", number(1e-5)),
      ("tokenizer.ggml.model", TinyGGUF.scalar("llama")),
      ("tokenizer.ggml.tokens", TinyGGUF.array(8, tokens.map { TinyGGUF.text($0) })),
      ("tokenizer.ggml.scores", TinyGGUF.array(6, tokens.map { _ in TinyGGUF.bytes(Float(0).bitPattern) })),
      ("tokenizer.ggml.token_type", TinyGGUF.array(5, types.map { TinyGGUF.bytes($0) })),
      ("tokenizer.ggml.bos_token_id", TinyGGUF.scalar(UInt32(1))),
      ("tokenizer.ggml.eos_token_id", TinyGGUF.scalar(UInt32(2))),
      ("tokenizer.ggml.add_space_prefix", TinyGGUF.bytes(UInt32(7)) + [0]),
    ]
    metadata.removeAll { entry in extra.contains { $0.key == entry.key } }
    metadata += extra
    var result = Array("GGUF".utf8) + TinyGGUF.bytes(UInt32(3))
    result += TinyGGUF.bytes(UInt64(tensors.count)) + TinyGGUF.bytes(UInt64(metadata.count))
    for (key, value) in metadata { result += TinyGGUF.text(key) + value }
    var offset = 0
    for tensor in tensors {
      result += TinyGGUF.text(tensor.name) + TinyGGUF.bytes(UInt32(tensor.shape.count))
      for dimension in tensor.shape { result += TinyGGUF.bytes(UInt64(dimension)) }
      result += TinyGGUF.bytes(UInt32(0)) + TinyGGUF.bytes(UInt64(offset))
      offset += (tensor.values.count * 4 + 31) / 32 * 32
    }
    while result.count % 32 != 0 { result.append(0) }
    for tensor in tensors {
      tensor.values.withUnsafeBytes { result += $0 }
      while result.count % 32 != 0 { result.append(0) }
    }
    return result
  }
}

extension SplitMix {
  /// Of mean 0 and deviation 1, nearly: a sum of uniform numbers.
  fileprivate mutating func normal() -> Float {
    (0..<12).reduce(Float(-6)) { sum, _ in sum + Float(next() >> 40) / Float(1 << 24) }
  }
}
