import LlamaHost
import Platform
import Testing

extension HostTests {
  @Suite struct LlamaContextTests {
    let model: LlamaModel
    // One thread: no waiting for another one that the system has put aside.
    let pool: ThreadPool
    let report: TakeoverReport

    init() throws {
      model = try TestModel.load()
      pool = try ThreadPool(threadCount: 1, poll: 0)
      report = try model.takeover(pool: pool)
    }

    private func guestContext(
      _ guest: any AttentionGuest = ExactAttention(), batchCapacity: Int = 128, outputCapacity: Int? = nil
    ) throws -> GuestContext {
      try GuestContext(
        model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity,
        guest: guest)
    }

    private func hostLogits(_ tokens: [Int32], flashAttention: Bool = false) throws -> [[Float]] {
      let context = try HostContext(
        model: model, pool: pool, contextLength: 256, batchCapacity: 128, flashAttention: flashAttention)
      return try rows(context.evaluate(tokens, startPosition: 0, outputs: .all))
    }

    @Test func exactGuestFollowsTheHost() throws {
      let tokens = try sampleTokens(model)
      let expected = try hostLogits(tokens)
      let floor = compare(expected, try hostLogits(tokens, flashAttention: true))
      for split in [[100], [1, 7, 64, 27, 1]] {
        let context = try guestContext()
        var found: [[Float]] = []
        for count in split {
          let part = tokens[found.count..<found.count + count]
          found += try rows(context.evaluate(part, startPosition: found.count, outputs: .all))
        }
        let result = compare(expected, found)
        // Rounding differs with the size of a batch; three times the host's difference from itself allows for
        // that.
        #expect(result.divergence <= max(3 * floor.divergence, 0.01), "\(split): \(result), floor \(floor)")
        #expect(result.top1 >= floor.top1 - 0.1, "\(split): \(result), floor \(floor)")
        // The first token attends only to itself: nothing but rounding of one value is between the two.
        #expect(LogitComparison.divergence(expected[0], found[0]) < 1e-3)
      }
    }

    @Test func decodingReusesTheGraph() throws {
      let tokens = try sampleTokens(model)
      let reference = try guestContext()
      let expected = try rows(reference.evaluate(tokens, startPosition: 0, outputs: .all))
      let context = try guestContext()
      var found = try rows(context.evaluate(tokens[..<60], startPosition: 0, outputs: .all))
      for index in 60..<100 {
        found += try rows(context.evaluate(tokens[index...index], startPosition: index))
      }
      #expect(context.graphReuseCount >= 38)
      let result = compare(expected, found)
      #expect(result.divergence < 0.02, "\(result)")
    }

    @Test func outputsAreThoseAskedFor() throws {
      let tokens = try sampleTokens(model, count: 20)
      let context = try guestContext(outputCapacity: 20)
      #expect(try context.evaluate(tokens, startPosition: 0, outputs: .none).rowCount == 0)
      let last = try context.evaluate(tokens, startPosition: 0, outputs: .last)
      #expect(last.rowCount == 1)
      #expect(last.vocabularySize == model.tokenizer.vocabularySize)
      let copy = Array(last.last)
      let all = try context.evaluate(tokens, startPosition: 0, outputs: .all)
      #expect(all.rowCount == 20)
      #expect(LogitComparison.divergence(copy, Array(all.last)) < 1e-3)
    }

    @Test func guestErrorComesThroughAndTheContextGoesOn() throws {
      let tokens = try sampleTokens(model, count: 40)
      let untouched = try guestContext()
      try untouched.evaluate(tokens[..<30], startPosition: 0)
      let expected = try rows(untouched.evaluate(tokens[30...], startPosition: 30, outputs: .all))

      let guest = WrappedGuest()
      let context = try guestContext(guest)
      try context.evaluate(tokens[..<30], startPosition: 0)
      for layer in [0, 5, report.layers.count - 1] {
        guest.before = { if $0 == layer { throw TestFailure(layer: layer) } }
        #expect(throws: TestFailure(layer: layer)) { try context.evaluate(tokens[30...], startPosition: 30) }
      }
      guest.before = { _ in }
      let found = try rows(context.evaluate(tokens[30...], startPosition: 30, outputs: .all))
      // Bit for bit: nothing of the failures is left.
      #expect(found == expected)
    }

    @Test func errorInTheMiddleOfReusedGraphs() throws {
      let tokens = try sampleTokens(model, count: 40)
      let guest = WrappedGuest()
      let context = try guestContext(guest)
      let untouched = try guestContext()
      try context.evaluate(tokens[..<30], startPosition: 0)
      try untouched.evaluate(tokens[..<30], startPosition: 0)
      for index in 30..<40 {
        guest.before = { if $0 == index % 30 { throw TestFailure(layer: index) } }
        #expect(throws: TestFailure.self) {
          try context.evaluate(tokens[index...index], startPosition: index)
        }
        guest.before = { _ in }
        let found = try rows(context.evaluate(tokens[index...index], startPosition: index))
        #expect(found == (try rows(untouched.evaluate(tokens[index...index], startPosition: index))))
      }
    }

    @Test func cancellationByClosure() throws {
      let tokens = try sampleTokens(model, count: 20)
      let guest = WrappedGuest()
      let context = try guestContext(guest)
      context.isCancelled = { guest.callCount >= 3 }
      #expect(throws: CancellationError.self) { try context.evaluate(tokens, startPosition: 0) }
      #expect(guest.callCount == 3)
      context.isCancelled = nil
      try context.evaluate(tokens, startPosition: 0)
      #expect(guest.callCount == 3 + report.layers.count)
    }

    @Test func cancellationOfTheTask() async throws {
      let callCount = try await Task {
        let model = try TestModel.load()
        let guest = WrappedGuest()
        let context = try GuestContext(
          model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 32, guest: guest)
        guest.before = { layer in
          if layer == 4 { withUnsafeCurrentTask { $0?.cancel() } }
        }
        #expect(throws: CancellationError.self) {
          try context.evaluate(sampleTokens(model, count: 20), startPosition: 0)
        }
        return guest.callCount
      }.value
      #expect(callCount == 5)
    }

    @Test func cancellationInHostMode() throws {
      let tokens = try sampleTokens(model)
      let context = try HostContext(model: model, pool: pool, contextLength: 256, batchCapacity: 32)
      // The host asks before every node, and a batch has several hundred: this is in the second or third one.
      var questions = 0
      context.isCancelled = {
        questions += 1
        return questions > 1500
      }
      #expect(throws: CancellationError.self) { try context.evaluate(tokens, startPosition: 0) }
      // Whole batches are kept.
      #expect(context.length == 32 || context.length == 64)
      context.isCancelled = nil
      try context.truncate(to: 0)
      let found = try rows(context.evaluate(tokens, startPosition: 0))
      #expect(LogitComparison.divergence(try hostLogits(tokens)[99], found[0]) < 0.05)
    }

    @Test func hostModeTruncates() throws {
      let tokens = try sampleTokens(model)
      let context = try HostContext(model: model, pool: pool, contextLength: 128, batchCapacity: 32)
      try context.evaluate(tokens[..<50], startPosition: 0)
      let expected = try rows(context.evaluate(tokens[50...50], startPosition: 50))
      try context.evaluate(tokens[51..<80], startPosition: 51)
      #expect(context.length == 80)
      try context.truncate(to: 50)
      #expect(context.length == 50)
      #expect(try rows(context.evaluate(tokens[50...50], startPosition: 50)) == expected)
      #expect(throws: LlamaError.self) { try context.truncate(to: 52) }
      #expect(throws: LlamaError.self) { try context.truncate(to: -1) }
      #expect(throws: LlamaError.self) { try context.evaluate(tokens, startPosition: 10) }
      #expect(throws: LlamaError.self) { try context.evaluate(tokens, startPosition: context.length) }
    }

    @Test func badArguments() throws {
      let context = try guestContext(batchCapacity: 8, outputCapacity: 2)
      #expect(throws: LlamaError.self) { try context.evaluate([Int32](), startPosition: 0) }
      #expect(throws: LlamaError.self) {
        try context.evaluate([Int32](repeating: 1, count: 9), startPosition: 0)
      }
      #expect(throws: LlamaError.self) { try context.evaluate([1, 2, 3], startPosition: 0, outputs: .all) }
      #expect(throws: LlamaError.self) { try context.evaluate([-1], startPosition: 0) }
      #expect(throws: LlamaError.self) { try context.evaluate([1_000_000], startPosition: 0) }
      #expect(throws: LlamaError.self) { try context.evaluate([1], startPosition: -1) }
      #expect(throws: LlamaError.self) { try context.evaluate([1], startPosition: .max) }
      #expect(throws: LlamaError.self) { try guestContext(batchCapacity: 0) }
      #expect(throws: LlamaError.self) { try guestContext(batchCapacity: 8, outputCapacity: 9) }
      #expect(throws: LlamaError.self) {
        try HostContext(model: model, pool: pool, contextLength: 2_000_000_000)
      }
      let error = #expect(throws: LlamaError.self) { try context.evaluate([1, 2, -7], startPosition: 0) }
      #expect(error?.description == "Token -7 at index 2 is not in the vocabulary of 49152 tokens.")
    }

    /// The same token's key at another position is the key turned by the angles that the takeover's
    /// report tells.
    @Test(arguments: [1, 100, 5000])
    func reportedRotationTurnsKeys(_ position: Int) throws {
      let recorder = KeyRecorder()
      let context = try guestContext(recorder, batchCapacity: 1)
      try context.evaluate([500], startPosition: 0)
      try context.evaluate([500], startPosition: position)
      let rope = try #require(context.takeover.layers[0].shape.rotary)
      #expect(rope.layout == .adjacentPairs)
      #expect(rope.inverseFrequencies.count == 32)
      let (old, new) = (recorder.keys[0], recorder.keys[1])
      let scale = old.map(abs).max() ?? 1
      for (pair, frequency) in rope.inverseFrequencies.enumerated() {
        let angle = Double(position) * Double(frequency)
        let (x, y) = (Double(old[2 * pair]), Double(old[2 * pair + 1]))
        // Half precision has 11 bits; the host's own angles are products of 32 single-precision factors.
        let tolerance = Double(scale) * 0.004
        #expect(abs(x * cos(angle) - y * sin(angle) - Double(new[2 * pair])) < tolerance, "pair \(pair)")
        #expect(abs(x * sin(angle) + y * cos(angle) - Double(new[2 * pair + 1])) < tolerance, "pair \(pair)")
      }
    }
  }
}
