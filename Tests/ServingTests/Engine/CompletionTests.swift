import Foundation
import LlamaHost
import RetrievalAttention
import Serving
import Testing

extension SchedulerTests {
  @Suite struct CompletionTests {
    private let capital = "What is the capital of France? Answer with its name."

    @Test func answersAndCounts() async throws {
      let scheduler = try await Scheduler.start()
      let answer = try await scheduler.ask(capital, tokens: 24)
      #expect(answer.text.contains("Paris"))
      #expect(answer.reasons[0] == .stop)
      #expect(answer.cachedTokens == 0)
      #expect(answer.promptTokens > 5)
      let statistics = try #require(answer.statistics)
      #expect(statistics.generatedTokens == answer.tokens[0])
      #expect(statistics.tokensPerSecond > 0)
      #expect(statistics.contextRead == 1)
      // The same once more: all but one token is there already, and the answer is the same.
      let again = try await scheduler.ask(capital, tokens: 24)
      #expect(again.cachedTokens == answer.promptTokens - 1)
      #expect(again.text == answer.text)
      let totals = await scheduler.statistics()
      #expect(totals.completed == 2)
      #expect(totals.cachedTokens == again.cachedTokens)
      #expect(totals.generatedTokens >= 2)
      #expect(totals.running == 0)
      #expect(totals.waiting == 0)
      await scheduler.stop()
    }

    @Test func limitsAndStopsEndAnAnswer() async throws {
      let scheduler = try await Scheduler.start()
      let counting = CompletionRequest.Prompt.text("1, 2, 3, 4, 5, 6, 7, 8, 9,")
      let short = try await scheduler.answer(CompletionRequest(prompt: counting, maximumTokens: 6))
      #expect(short.reasons[0] == .length)
      #expect(short.tokens[0] == 6)
      // In the middle of the same text, across tokens.
      let text = short.text
      let stop = String(text.dropFirst(3).prefix(4))
      let stopped = try await scheduler.answer(
        CompletionRequest(prompt: counting, maximumTokens: 30, stop: [stop]))
      #expect(stopped.reasons[0] == .stop)
      #expect(stopped.text == String(text[..<(try #require(text.range(of: stop)).lowerBound)]))
      await scheduler.stop()
    }

    @Test func seedsRepeatAndChoicesDiffer() async throws {
      let scheduler = try await Scheduler.start()
      func request(_ seed: UInt32) throws -> CompletionRequest {
        CompletionRequest(
          prompt: .text("Once upon a time"), maximumTokens: 12,
          sampling: try SamplerSettings(temperature: 1.5, topP: 1, minP: 0, seed: seed), choiceCount: 3)
      }
      let first = try await scheduler.answer(try request(7))
      #expect(Set(first.texts.keys) == [0, 1, 2])
      #expect(Set(first.texts.values).count == 3)
      #expect(first.reasons.count == 3)
      // Alone, so that batches and with them rounding are the same.
      var alone = try request(7)
      alone.choiceCount = 1
      let again = try await scheduler.answer(alone)
      #expect(again.text == (try await scheduler.answer(alone)).text)
      #expect(again.text != (try await scheduler.answer(try request(8))).text)
      await scheduler.stop()
    }

    @Test func logProbabilitiesAreThoseOfTheChoice() async throws {
      let scheduler = try await Scheduler.start()
      var request = CompletionRequest(prompt: .text("The capital of France is"), maximumTokens: 5)
      request.alternatives = 3
      let answer = try await scheduler.answer(request)
      #expect(answer.probabilities.count == 5)
      #expect(answer.probabilities.flatMap(\.bytes) == Array(answer.text.utf8))
      for token in answer.probabilities {
        #expect(token.alternatives.count == 3)
        // The best one was taken.
        #expect(token.alternatives[0].bytes == token.bytes)
        #expect(token.alternatives[0].logProbability == token.logProbability)
        let values = token.alternatives.map(\.logProbability)
        #expect(values == values.sorted(by: >))
        #expect(values.reduce(0) { $0 + exp($1) } <= 1.0001)
        #expect(values[0] < 0)
      }
      await scheduler.stop()
    }

    @Test func grammarsAreFollowed() async throws {
      let scheduler = try await Scheduler.start()
      let schema = try JSONValue(
        parsing: Data(
          #"""
          {"type":"object","properties":{"city":{"type":"string","maxLength":20},
          "population":{"type":"integer","minimum":1,"maximum":99999999},"capital":{"type":"boolean"}},
          "required":["city","population","capital"]}
          """#.utf8))
      let answer = try await scheduler.answer(
        CompletionRequest(
          prompt: .chat(ChatRequest([ChatMessage(role: .user, content: "Describe Paris as JSON.")])),
          maximumTokens: 120,
          sampling: try SamplerSettings(temperature: 0, grammar: try JSONGrammar.grammar(schema: schema))))
      #expect(answer.reasons[0] == .stop, "\(answer.text)")
      let json = try JSONValue(parsing: Data(answer.text.utf8))
      #expect(Set(try #require(json.object).keys) == ["city", "population", "capital"])
      #expect((1...99_999_999).contains(json.object?["population"]?.integer ?? 0))
      // What is wrong with a grammar itself is told before there is a request.
      #expect(throws: SamplerError.self) { try SamplerSettings(grammar: "root ::= nothing") }
      // Only the model's vocabulary tells.
      for grammar in ["root ::= <[99999999]>", "root ::= <|im_end|>"] {
        let settings = try SamplerSettings(grammar: grammar)
        let error = await #expect(throws: ServingError.self) {
          _ = try await scheduler.complete(CompletionRequest(prompt: .text("a"), sampling: settings))
        }
        guard case .invalidParameter("grammar", let message)? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(message.contains("token"))
      }
      await scheduler.stop()
    }

    @Test func largeEnumerationsAreFollowed() async throws {
      let scheduler = try await Scheduler.start()
      let names = (0..<5000).map { "name \($0 * 7919 % 5000) of \($0)" }
      let schema = JSONValue.object(["enum": .array(names.map(JSONValue.string))])
      for temperature in [Float(0), 1] {
        let settings = try SamplerSettings(
          temperature: temperature, seed: 3, grammar: try JSONGrammar.grammar(schema: schema))
        let answer = try await scheduler.answer(
          CompletionRequest(prompt: .text("One of them is "), maximumTokens: 60, sampling: settings))
        #expect(answer.reasons[0] == .stop)
        let json = try JSONValue(parsing: Data(answer.text.utf8))
        #expect(names.contains(try #require(json.string)), "\(answer.text)")
      }
      await scheduler.stop()
    }

    @Test func manyAtOnceAreAllServed() async throws {
      let scheduler = try await Scheduler.start { $0.parallel = 3 }
      let questions = [
        "What is the capital of France? Answer with its name.", "What is 2+2?", "Name a color.", "Say hello.",
        "Who are you?",
      ]
      let answers = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
        for (index, question) in questions.enumerated() {
          group.addTask { (index, try await scheduler.ask(question, tokens: 12)) }
        }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      #expect(answers.count == 5)
      #expect(answers.values.allSatisfy { $0.reasons[0] != nil && !$0.text.isEmpty })
      #expect(answers[0]?.text.contains("Paris") == true)
      let totals = await scheduler.statistics()
      // One batch carried several sequences.
      let promptTokens = totals.promptTokens - totals.cachedTokens
      #expect(totals.batches < promptTokens + totals.generatedTokens)
      #expect(Double(totals.generatedTokens) / Double(totals.batches) > 1.3, "\(totals)")
      await scheduler.stop()
    }

    /// A long prompt that arrives while an answer is being written does not hold it up for longer than was allowed,
    /// as far as tokens tell: between two pieces of the prompt there is always a token of the answer.
    @Test func longPromptsAreReadBetweenTokens() async throws {
      let scheduler = try await Scheduler.start { $0.stallMilliseconds = 50 }
      let long = try TestText.read("alice.txt", characters: 2000)
      let writing = Task {
        try await scheduler.answer(CompletionRequest(prompt: .text("1, 2, 3, 4, 5,"), maximumTokens: 200))
      }
      while (await scheduler.statistics()).generatedTokens < 3 { try await Task.sleep(for: .milliseconds(5)) }
      var pieces = 0
      let before = (await scheduler.statistics()).generatedTokens
      let reading = try await scheduler.answer(CompletionRequest(prompt: .text(long), maximumTokens: 1)) {
        event in
        if case .prefill = event { pieces += 1 }
      }
      let after = (await scheduler.statistics()).generatedTokens
      #expect(reading.promptTokens > 400)
      #expect(pieces > 3, "read in \(pieces) pieces")
      #expect(after - before >= pieces - 1, "\(after - before) tokens beside \(pieces) pieces")
      writing.cancel()
      _ = await writing.result
      await scheduler.stop()
    }
  }
}
