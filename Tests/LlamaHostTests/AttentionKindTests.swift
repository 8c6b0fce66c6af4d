// Each kind of attention on a tiny model, beside the host's own.

import Foundation
import TestSupport
import Testing

@testable import LlamaHost

extension HostTests {
  /// Each kind of attention on a tiny model: what the probe sees, and the guest's logits beside the host's.
  @Suite struct AttentionKindTests {
    private func model(_ attention: TinyModel.Attention) throws -> LlamaModel {
      let scratch = try ScratchDirectory()
      return try LlamaModel.load(path: scratch.write(TinyModel.attending(attention).build()))
    }

    private func shapes(_ attention: TinyModel.Attention) throws -> [LayerShape] {
      let report = try model(attention).takeover(pool: ThreadPool(threadCount: 1))
      #expect(report.isSupported, "\(report)")
      return report.layers.map(\.shape)
    }

    @Test func `The probe sees sinks`() throws {
      let shapes = try shapes(.sinks)
      #expect(shapes.map(\.sinks) == [[5, 6.5], [5, 6.5]])
      #expect(shapes.map(\.slidingWindow) == [TinyModel.window, nil])
    }

    @Test func `The probe sees latent keys and where they are rotated`() throws {
      for shape in try shapes(.latent) {
        #expect(shape.valuesAreKeys)
        #expect((shape.headCount, shape.kvHeadCount) == (4, 1))
        #expect((shape.headDimension, shape.valueDimension) == (64, 48))
        #expect(shape.rotary?.firstDimension == 48)
        #expect(shape.rotary?.inverseFrequencies.count == 8)
      }
    }

    @Test func `The probe sees values that are narrower than keys`() throws {
      for shape in try shapes(.narrowValues) {
        #expect(!shape.valuesAreKeys)
        #expect((shape.headDimension, shape.valueDimension) == (32, 16))
        #expect(shape.rotary?.firstDimension == 16)
      }
    }

    @Test func `The probe sees whose keys a layer reads`() throws {
      let shapes = try shapes(.sharedKeys)
      #expect(shapes.map(\.keyLayer) == [nil, nil, 0, 1])
      #expect(shapes.map(\.slidingWindow) == [TinyModel.window, nil, TinyModel.window, nil])
    }

    @Test func `The probe tells chunks from windows`() throws {
      let shapes = try shapes(.chunks)
      #expect(shapes.map(\.slidingWindow) == [TinyModel.chunk, TinyModel.chunk, TinyModel.chunk, nil])
      #expect(shapes.map(\.isChunked) == [true, true, true, false])
    }

    @Test func `The probe sees caps and slopes`() throws {
      #expect(try shapes(.cap).map(\.softCap) == [2, 2])
      // 2^-4 and 2^-8 for two heads.
      #expect(
        try shapes(.distance).map(\.distanceSlopes) == [[0.0625, 0.003_906_25], [0.0625, 0.003_906_25]])
    }

    @Test func `The probe passes over layers without attention`() throws {
      let report = try model(.gaps).takeover(pool: ThreadPool(threadCount: 1))
      #expect(report.isSupported, "\(report)")
      #expect(report.layers.map(\.number) == [0, 3])
      #expect(report.layers.map(\.shape.kvHeadCount) == [2, 1])
    }

    @Test func `Devices leave such models to the CPU, and say why`() throws {
      let context = try GuestContext(
        model: model(.sinks), pool: ThreadPool(threadCount: 1), batchCapacity: 64, guest: ExactAttention())
      func isExpected(_ error: any Error) -> Bool {
        guard case LlamaError.noDeviceAttention(let layers) = error else { return false }
        return layers == [0, 1] && "\(error)".contains("layers 0-1")
      }
      #expect {
        try DevicePrompt(end: 128, context: context, anywhere: true)
      } throws: {
        isExpected($0)
      }
      #expect {
        try DeviceWindow(capacity: 128, context: context, anywhere: true)
      } throws: {
        isExpected($0)
      }
    }

    /// Behind a window, a batch and, for chunks, the border of one.
    @Test(arguments: TinyModel.Attention.allCases)
    func `Exact attention of a guest gives the host's logits`(_ attention: TinyModel.Attention) throws {
      let comparison = try Comparison(
        model(attention), length: attention == .chunks ? TinyModel.chunk + 70 : 300)
      let found = try comparison.divergence { _ in }
      #expect(try found < 1e-4 || found < 3 * comparison.floor(), "KL \(found)")
    }

    /// What a layer is made of counts. Reading as far as the border of a chunk once more takes half a minute; that
    /// chunks count is for the engine's tests to show.
    @Test(arguments: TinyModel.Attention.allCases.filter { $0 != .chunks })
    func `The comparison sees what is left out`(_ attention: TinyModel.Attention) throws {
      let wrong = try Comparison(model(attention), length: 300).divergence { shape in
        switch attention {
        case .sinks: shape.sinks = nil
        case .cap: shape.softCap = nil
        case .distance: shape.distanceSlopes = nil
        case .chunks: break
        // These cannot be left out: queries that are scaled otherwise stand for any mistake.
        case .latent, .narrowValues, .sharedKeys, .gaps: shape.scale *= 1.25
        }
      }
      #expect(wrong > 1e-3)
    }
  }
}

/// A text of random tokens, read by the host and by an exact guest.
private struct Comparison {
  let model: LlamaModel
  let pool: ThreadPool
  let tokens: [Int32]
  let expected: [[Float]]
  private let batch: Int
  private static let compared = 16

  init(_ model: LlamaModel, length: Int) throws {
    self.model = model
    pool = try ThreadPool(threadCount: 2)
    batch = length > 1000 ? 512 : 128
    var generator = SplitMix(state: 7)
    tokens = (0..<length).map { _ in Int32(generator.next() % 256) + 3 }
    let host = try HostContext(
      model: model, pool: pool, contextLength: length, batchCapacity: batch,
      outputCapacity: Self.compared)
    expected = try Self.logits(host, tokens, batch: batch)
  }

  func floor() throws -> Float {
    let host = try HostContext(
      model: model, pool: pool, contextLength: tokens.count, batchCapacity: batch,
      outputCapacity: Self.compared, flashAttention: true)
    return LogitComparison.compare(expected, try Self.logits(host, tokens, batch: batch)).0
  }

  /// - Parameter change: what the guest is told of each layer, in place of the truth.
  func divergence(_ change: @escaping (inout LayerShape) -> Void) throws -> Float {
    let guest = try GuestContext(
      model: model, pool: pool, batchCapacity: batch, outputCapacity: Self.compared,
      guest: ChangedGuest(change))
    return LogitComparison.compare(expected, try Self.logits(guest, tokens, batch: batch)).0
  }

  /// Logits after the last tokens, read one by one.
  private static func logits(_ context: LlamaContext, _ tokens: [Int32], batch: Int) throws -> [[Float]] {
    let end = tokens.count - compared
    for start in stride(from: 0, to: end, by: batch) {
      try context.evaluate(tokens[start..<min(start + batch, end)], startPosition: start, outputs: .none)
    }
    return try (end..<tokens.count).map {
      Array(try context.evaluate(tokens[$0...$0], startPosition: $0).last)
    }
  }
}

/// Exact attention to layers other than they are.
private final class ChangedGuest: AttentionGuest {
  private let exact = ExactAttention()
  private let change: (inout LayerShape) -> Void

  init(_ change: @escaping (inout LayerShape) -> Void) { self.change = change }

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    var call = call
    change(&call.shape)
    try exact.attend(call, sequence: sequence, parallel: parallel)
  }
}
