// LoRA adapters of tiny models, and what they come to.

extension TinyModel {
  /// A LoRA adapter of rank `rank` that changes `names` of `model`, with random values.
  package static func adapter(of model: TinyModel, _ names: [String], rank: Int = 4, alpha: Float = 8)
    -> TinyModel
  {
    var adapter = TinyModel(model.architecture, context: model.context)
    adapter.extra = [
      ("general.type", TinyGGUF.scalar("adapter")), ("adapter.type", TinyGGUF.scalar("lora")),
      ("adapter.lora.alpha", TinyGGUF.bytes(UInt32(6)) + TinyGGUF.bytes(alpha.bitPattern)),
    ]
    for tensor in model.tensors where names.contains(tensor.name) {
      adapter.add(tensor.name + ".lora_a", [tensor.shape[0], rank], deviation: 0.2)
      adapter.add(tensor.name + ".lora_b", [rank, tensor.shape[1]], deviation: 0.2)
    }
    return adapter
  }

  /// The model whose weights are changed as the adapter says: W + scale alpha / rank B A.
  package func merged(with adapter: TinyModel, alpha: Float = 8, scale: Float = 1) -> TinyModel {
    var result = self
    for (index, tensor) in tensors.enumerated() {
      guard let a = adapter.tensors.first(where: { $0.name == tensor.name + ".lora_a" }),
        let b = adapter.tensors.first(where: { $0.name == tensor.name + ".lora_b" })
      else { continue }
      let (inputs, rank) = (a.shape[0], a.shape[1])
      for row in 0..<tensor.shape[1] {
        for column in 0..<inputs {
          let sum = (0..<rank).reduce(Float(0)) {
            $0 + b.values[row * rank + $1] * a.values[$1 * inputs + column]
          }
          result.tensors[index].values[row * inputs + column] += scale * alpha / Float(rank) * sum
        }
      }
    }
    return result
  }
}
