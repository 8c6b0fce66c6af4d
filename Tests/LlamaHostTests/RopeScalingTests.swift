// Positions scaled beyond the training: the host's own attention with the same parameters is the reference.

import Foundation
import TestSupport
import Testing

@testable import LlamaHost

@Suite(.serialized) struct RopeScalingTests {
  private static let trained = 256
  private let scratch: ScratchDirectory
  private let pool: ThreadPool
  private let path: String

  init() throws {
    scratch = try ScratchDirectory()
    pool = try ThreadPool(threadCount: 1)
    path = try scratch.write(TinyModel.llama(context: UInt32(Self.trained)).build())
  }

  private func load(_ scaling: RopeScaling?, path other: String? = nil) throws -> LlamaModel {
    var options = LlamaModel.Options()
    options.ropeScaling = scaling
    return try LlamaModel.load(path: other ?? path, options: options)
  }

  private func host(_ model: LlamaModel, _ tokens: [Int32]) throws -> [Float] {
    try lastLogits(
      HostContext(model: model, pool: pool, contextLength: tokens.count, batchCapacity: 128), tokens)
  }

  private func guest(_ model: LlamaModel, _ tokens: [Int32]) throws -> [Float] {
    try lastLogits(
      GuestContext(model: model, pool: pool, batchCapacity: 128, guest: ExactAttention()), tokens)
  }

  @Test(arguments: [
    RopeScaling(method: .yarn, factor: 4), RopeScaling(method: .linear, factor: 4),
    RopeScaling(method: .yarn, factor: 8, originalContextLength: 128),
  ])
  func `A guest attends as the host does with the same scaling`(scaling: RopeScaling) throws {
    let tokens = tinyTokens(3 * Self.trained)
    let model = try load(scaling)
    let expected = try host(model, tokens)
    #expect(LogitComparison.divergence(expected, try guest(model, tokens)) < 1e-3)
    // The comparison sees the scaling.
    #expect(LogitComparison.divergence(expected, try guest(load(nil), tokens)) > 0.01)
  }

  @Test func `Options do what a file with the same values does`() throws {
    func number(_ value: Float) -> [UInt8] { TinyGGUF.bytes(UInt32(6)) + TinyGGUF.bytes(value.bitPattern) }
    var tiny = TinyModel.llama(context: UInt32(4 * Self.trained))
    tiny.extra += [
      ("llama.rope.scaling.type", TinyGGUF.scalar("yarn")), ("llama.rope.scaling.factor", number(4)),
      ("llama.rope.scaling.original_context_length", TinyGGUF.scalar(UInt32(Self.trained))),
    ]
    let file = try scratch.write(tiny.build(), name: "yarn.gguf")
    let tokens = tinyTokens(2 * Self.trained)
    let scaled = try load(RopeScaling(method: .yarn, factor: 4))
    let expected = try guest(load(nil, path: file), tokens)
    #expect(try guest(scaled, tokens) == expected)
    #expect(scaled.contextLimit == 4 * Self.trained)
    #expect(scaled.ropeScaling == RopeScaling(method: .yarn, factor: 4, originalContextLength: Self.trained))

    // "none" takes the file's away, and is nothing for a file that has none.
    let bare = try load(RopeScaling(method: .none), path: file)
    #expect(bare.contextLimit == Self.trained)
    #expect(try guest(bare, tokens) == guest(load(nil), tokens))
    #expect(try load(RopeScaling(method: .none)).ropeScaling == nil)
    #expect(try load(RopeScaling(method: .linear, factor: 2), path: file).contextLimit == 2 * Self.trained)
  }

  /// The angles of arXiv 2309.00071, section 3.2 and appendix A.2, with the paper's alpha 1 and beta 32 for Llama; the
  /// host's ramp runs over pairs from the rounded ends.
  @Test func `Slow pairs are scaled, fast ones are not`() throws {
    let model = try load(RopeScaling(method: .yarn, factor: 4))
    let rotary = try #require(try model.takeover(pool: pool).layers[0].shape.rotary)
    let pairs = rotary.inverseFrequencies.count
    func pair(turning rotations: Double) -> Double {
      2 * Double(pairs) * log(Double(Self.trained) / (rotations * 2 * .pi)) / (2 * log(10_000))
    }
    let (low, high) = (max(0, floor(pair(turning: 32))), min(Double(2 * pairs - 1), ceil(pair(turning: 1))))
    for (index, found) in rotary.inverseFrequencies.enumerated() {
      let plain = pow(10_000, -Double(index) / Double(pairs))
      let share = min(1, max(0, (Double(index) - low) / max(0.001, high - low)))
      let expected = plain * (1 - share) + plain / 4 * share
      #expect(abs(Double(found) - expected) <= expected * 1e-5, "pair \(index)")
    }
    #expect(abs(Double(rotary.inverseFrequencies[0]) - 1) < 1e-6)
  }

  @Test func `What cannot be scaled is refused with the reason`() throws {
    func refusal(_ scaling: RopeScaling, _ model: String? = nil) throws -> String {
      let error = #expect(throws: LlamaError.self) { try load(scaling, path: model) }
      guard case .ropeScalingNotUsable(let found, let reason)? = error else {
        Issue.record("\(String(describing: error))")
        return ""
      }
      // As texts: what is no number equals nothing.
      #expect(found.description == scaling.description)
      return reason
    }
    for factor in [0, 0.5, -2, .nan, .infinity, 2000] as [Float] {
      #expect(try refusal(RopeScaling(method: .yarn, factor: factor)).contains("between 1 and 1024"))
    }
    for length in [0, -1, Int.max] {
      #expect(
        try refusal(RopeScaling(method: .yarn, factor: 2, originalContextLength: length)).contains("tokens"))
    }
    let learned = try scratch.write(TinyModel.gpt2(context: 64).build(), name: "gpt2.gguf")
    #expect(try refusal(RopeScaling(method: .yarn, factor: 2), learned).contains("table"))
    let two = try scratch.write(TinyModel.phi3(original: 64, context: 256).build(), name: "phi3.gguf")
    #expect(try refusal(RopeScaling(method: .linear, factor: 2), two).contains("two sets"))
  }

  @Test func `The scaling for a context is the smallest that makes room`() throws {
    let model = try load(nil)
    #expect(model.contextLimit == Self.trained)
    #expect(model.ropeScaling(forContext: Self.trained)?.factor == 1)
    #expect(model.ropeScaling(forContext: Self.trained + 1)?.factor == 2)
    #expect(model.ropeScaling(forContext: 4 * Self.trained)?.factor == 4)
    #expect(model.ropeScaling(forContext: 5000 * Self.trained) == nil)
    let learned = try load(nil, path: scratch.write(TinyModel.gpt2(context: 64).build(), name: "gpt2.gguf"))
    #expect(learned.ropeScaling(forContext: 1000) == nil)
  }

  /// docs/models.md tells what was tried with a model of each architecture.
  @Test func `What is expected of architectures is what was found`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appendingPathComponent("docs/models.md"), encoding: .utf8)
    var found = 0
    for match in page.matches(of: #/(?m)^\| `([^`]+)`(?: \(MoE\))? \|[^|]*\| ([^|]+) \|/#) {
      let (name, result) = (String(match.1), match.2.trimmingCharacters(in: .whitespaces))
      found += 1
      switch result {
      case "yes": #expect(KnownArchitectures.takenOver.contains(name), "\(name)")
      case "yes, hybrid": #expect(KnownArchitectures.hybrid.contains(name), "\(name)")
      default:
        #expect(
          KnownArchitectures.hostOnly[name] ?? KnownArchitectures.unusable[name] != nil, "\(name): \(result)")
      }
    }
    #expect(found > 100)
    let plain = try GGUFFile(validating: path)
    #expect(plain.expectedSupport == .takenOver(isHybrid: false))
    let diffusion = try GGUFFile(
      validating: scratch.write(TinyModel.llada(context: 64).build(), name: "llada.gguf"))
    guard case .none = diffusion.expectedSupport else {
      Issue.record("\(diffusion.expectedSupport)")
      return
    }
  }
}
