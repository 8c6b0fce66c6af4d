// Adapters beside a model, and files that are not language models.

import TestSupport
import Testing

@testable import LlamaHost

extension HostTests {
  @Suite struct LoRATests {
    private static let changed = ["blk.0.attn_k.weight", "blk.1.attn_v.weight", "blk.1.ffn_up.weight"]
    private let scratch: ScratchDirectory
    private let base: TinyModel
    private let adapter: TinyModel
    private let path: String
    private let adapterPath: String
    private let tokens = (0..<90).map { Int32(3 + $0 * 7 % 250) }

    init() throws {
      let base = TinyModel.llama(context: 512)
      adapter = TinyModel.adapter(of: base, Self.changed)
      scratch = try ScratchDirectory()
      path = try scratch.write(base.build())
      adapterPath = try scratch.write(adapter.build(), name: "adapter.gguf")
      self.base = base
    }

    private func model(_ adapters: [LoRAAdapter], path: String? = nil) throws -> LlamaModel {
      var options = LlamaModel.Options()
      options.adapters = adapters
      return try LlamaModel.load(path: path ?? self.path, options: options)
    }

    /// The last token's logits with our attention.
    private func logits(_ model: LlamaModel) throws -> [Float] {
      let context = try GuestContext(
        model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 128, guest: ExactAttention())
      return Array(try context.evaluate(tokens, startPosition: 0).last)
    }

    @Test(arguments: [1, -0.5] as [Float])
    func anAdapterChangesTheModelAsMergedWeightsDo(_ scale: Float) throws {
      let merged = try scratch.write(base.merged(with: adapter, scale: scale).build(), name: "merged.gguf")
      let expected = try logits(model([], path: merged))
      let found = try logits(model([LoRAAdapter(path: adapterPath, scale: scale)]))
      #expect(LogitComparison.divergence(expected, found) < 1e-6)
      #expect(LogitComparison.divergence(expected, try logits(model([]))) > 1e-3)
    }

    @Test func severalAddUpAndNothingOfOneIsNothing() throws {
      let half = LoRAAdapter(path: adapterPath, scale: 0.5)
      let whole = try logits(model([LoRAAdapter(path: adapterPath)]))
      #expect(LogitComparison.divergence(whole, try logits(model([half, half]))) < 1e-6)
      #expect(try logits(model([LoRAAdapter(path: adapterPath, scale: 0)])) == logits(model([])))
    }

    @Test func theHostSeesThemToo() throws {
      let model = try model([LoRAAdapter(path: adapterPath)])
      let host = try HostContext(model: model, pool: ThreadPool(threadCount: 1), contextLength: 128)
      let expected = Array(try host.evaluate(tokens, startPosition: 0).last)
      #expect(LogitComparison.divergence(expected, try logits(model)) < 1e-4)
    }

    @Test func whatDoesNotFitIsRefused() throws {
      var other = adapter
      other.architecture = "qwen2"
      var unknown = adapter
      unknown.tensors[0].name = "blk.7.attn_k.weight.lora_a"
      unknown.tensors[1].name = "blk.7.attn_k.weight.lora_b"
      for (number, (bytes, text)) in [
        (other.build(), "for models of qwen2, not llama"), (base.build(), "it is a language model"),
        (unknown.build(), "blk.7.attn_k.weight"),
      ].enumerated() {
        let path = try scratch.write(bytes, name: "\(number).gguf")
        let error = #expect(throws: LlamaError.self) { try model([LoRAAdapter(path: path)]) }
        #expect(error?.description.contains(text) == true, "\(String(describing: error))")
      }
      #expect(throws: GGUFError.self) { try model([LoRAAdapter(path: scratch.url.path + "/none.gguf")]) }
      #expect(throws: LlamaError.self) { try model([LoRAAdapter(path: adapterPath, scale: .nan)]) }
    }

    /// The host would end the process.
    @Test func metadataOfAnotherTypeIsRefused() throws {
      var wrong = adapter
      wrong.extra[2].value = TinyGGUF.scalar(UInt32(8))
      let path = try scratch.write(wrong.build(), name: "wrong.gguf")
      #expect(throws: GGUFError.self) { try model([LoRAAdapter(path: path)]) }
    }

    @Test func filesThatAreNoLanguageModelsAreNamed() throws {
      var projector = TinyModel("clip", context: 64)
      projector.extra = [("general.type", TinyGGUF.scalar("mmproj"))]
      for (bytes, text) in [
        (adapter.build(), "is a LoRA adapter"),
        (projector.build(), "images or sounds, which are not read here"),
      ] {
        let path = try scratch.write(bytes, name: "odd.gguf")
        let error = #expect(throws: LlamaError.self) { try model([], path: path) }
        #expect(error?.description.contains(text) == true, "\(String(describing: error))")
      }
    }
  }
}
