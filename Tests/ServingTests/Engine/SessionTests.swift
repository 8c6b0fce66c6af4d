import AttentionPolicies
import Foundation
import LlamaHost
import RetrievalAttention
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite struct SessionTests {
    private func create(
      _ scheduler: Scheduler, _ text: String, name: String = "book"
    ) async throws -> (card: SessionCard, progress: [Int]) {
      var card: SessionCard?
      var progress: [Int] = []
      for try await event in try await scheduler.createSession(name: name, text: text) {
        switch event {
        case .created(let new): #expect(new.state == .reading)
        case .progress(let done, let total, let secondsLeft):
          #expect(done <= total)
          if done == total { #expect(secondsLeft == 0) } else if done > 0 { #expect(secondsLeft ?? 0 > 0) }
          progress.append(done)
        case .ready(let ready): card = ready
        }
      }
      return (try #require(card), progress)
    }

    @Test func aDocumentIsReadOnce() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 2000)
      let (card, progress) = try await create(scheduler, text)
      #expect(card.state == .ready)
      #expect(card.tokens > 400)
      #expect(card.bytes > card.tokens * 1000)
      #expect(progress.last == card.tokens)
      #expect(progress == progress.sorted())
      for question in ["Who fell down the hole?", "1 + 1 = ?", "\n\nWho?"] {
        let answer = try await scheduler.ask(question, tokens: 4, session: card.id)
        #expect(answer.cachedTokens == card.tokens, "\(question)")
        #expect(answer.cachedTokens < answer.promptTokens)
      }
      // The same text without naming the session.
      let unnamed = try await scheduler.ask(text + "\n\nWho fell?", tokens: 2)
      #expect(unnamed.cachedTokens >= card.tokens - 2)
      #expect(await scheduler.sessions().map(\.id) == [card.id])
      try await scheduler.deleteSession(card.id)
      #expect(await scheduler.sessions().isEmpty)
      await #expect(throws: ServingError.unknownSession(card.id)) { _ = try await scheduler.session(card.id) }
      await #expect(throws: ServingError.unknownSession(card.id)) {
        try await scheduler.deleteSession(card.id)
      }
      await #expect(throws: ServingError.unknownSession(card.id)) {
        _ = try await scheduler.ask("Who?", session: card.id)
      }
      await scheduler.stop()
    }

    /// An answer about a stored document is the one that is given when all is read anew.
    @Test func storedContextsAnswerAsFreshOnes() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 1500)
      let (card, _) = try await create(scheduler, text)
      let first = try await scheduler.ask("What did Alice see?", tokens: 12, session: card.id)
      _ = try await scheduler.ask("Tell me a long story about it.", tokens: 40, session: card.id)
      let again = try await scheduler.ask("What did Alice see?", tokens: 12, session: card.id)
      #expect(again.text == first.text, "another question in between changed the document's context")
      await scheduler.stop()
    }

    /// Several questions at the same time, each with a fork of one document: what each gives is what it gives alone.
    @Test func questionsAboutOneDocumentRunTogether() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 1500)
      let (card, _) = try await create(scheduler, text)
      let questions = ["What did Alice see?", "Who is the author of this text?", "Where is the sister?"]
      var alone: [String] = []
      for question in questions {
        alone.append(try await scheduler.ask(question, tokens: 12, session: card.id).text)
      }
      #expect(Set(alone).count > 1)
      let before = await scheduler.statistics()
      let together = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
        for (index, question) in questions.enumerated() {
          group.addTask { (index, try await scheduler.ask(question, tokens: 12, session: card.id)) }
        }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      for (index, expected) in alone.enumerated() {
        #expect(together[index]?.text == expected, "\(questions[index])")
        #expect(together[index]?.cachedTokens ?? 0 >= card.tokens - 2)
      }
      let after = await scheduler.statistics()
      // In turns there would be a batch for every token.
      let tokens = after.generatedTokens - before.generatedTokens
      #expect(
        after.batches - before.batches < tokens,
        "\(after.batches - before.batches) batches of \(tokens) tokens")
      await scheduler.stop()
    }

    /// The next turn of a conversation about a document finds its own beginning, beside those of others.
    @Test func conversationsFindTheirOwnTurns() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 1500)
      let (card, _) = try await create(scheduler, text)
      func turn(_ messages: [ChatMessage]) async throws -> Answer {
        try await scheduler.answer(
          CompletionRequest(prompt: .chat(ChatRequest(messages)), session: card.id, maximumTokens: 40))
      }
      var talks = ["Tell me a long story about it.", "Write a poem about the rabbit, please."].map {
        [ChatMessage(role: .user, content: $0)]
      }
      var ends: [Int] = []
      for index in talks.indices {
        let answer = try await turn(talks[index])
        talks[index].append(ChatMessage(role: .assistant, content: answer.text))
        talks[index].append(ChatMessage(role: .user, content: "Go on."))
        ends.append(answer.promptTokens + (answer.tokens[0] ?? 0))
      }
      for index in talks.indices {
        let next = try await turn(talks[index])
        // All but the last token of the answer, which nobody has read, and what its end shares with the next turn.
        #expect(next.cachedTokens >= ends[index] - 3, "talk \(index)")
        #expect(next.cachedTokens < next.promptTokens)
      }
      // The document is still there for others.
      #expect(try await scheduler.ask("Who?", tokens: 2, session: card.id).cachedTokens >= card.tokens - 2)
      await scheduler.stop()
    }

    /// Answers to one prompt, and prompts that begin alike, wait for the one that reads it.
    @Test func aPromptIsReadOnceForAllThatWait() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 2000)
      func ask(_ end: String, choices: Int = 1) async throws -> Answer {
        try await scheduler.answer(
          CompletionRequest(
            prompt: .text(text + end), maximumTokens: 3,
            sampling: try SamplerSettings(temperature: 1, seed: 1), choiceCount: choices))
      }
      async let first = ask(" One", choices: 3)
      async let second = ask(" Two")
      let answers = try await [first, second]
      let totals = await scheduler.statistics()
      #expect(totals.batchTokens < answers[0].promptTokens + 100, "\(totals)")
      #expect(answers[0].reasons.count == 3)
      await scheduler.stop()
    }

    /// Contexts that cannot be forked are still shared, one question after the other.
    @Test func withoutForksQuestionsTakeTurns() async throws {
      let scheduler = try await Scheduler.start { $0.attention = .streaming(StreamingSettings()) }
      let text = try TestText.read("alice.txt", characters: 1500)
      let (card, _) = try await create(scheduler, text)
      try await withThrowingTaskGroup(of: Answer.self) { group in
        for question in ["What did Alice see?", "Who is the author?"] {
          group.addTask { try await scheduler.ask(question, tokens: 4, session: card.id) }
        }
        for try await answer in group { #expect(answer.cachedTokens >= card.tokens - 2) }
      }
      await scheduler.stop()
    }

    @Test func leavingEndsTheReading() async throws {
      let scheduler = try await Scheduler.start()
      let text = try TestText.read("alice.txt", characters: 6000)
      // A function, so that the stream goes with its end: at the first event after the session's making.
      func leave() async throws -> Bool {
        var wasMade = false
        for try await event in try await scheduler.createSession(name: "x", text: text) {
          guard case .created(let card) = event else { return wasMade }
          wasMade = true
          await #expect(throws: ServingError.sessionNotReady(card.id)) {
            _ = try await scheduler.ask("Who?", session: card.id)
          }
        }
        return wasMade
      }
      #expect(try await leave())
      for _ in 0..<500 {
        if await scheduler.sessions().isEmpty { break }
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(await scheduler.sessions().isEmpty)
      await scheduler.stop()
    }

    /// Two documents where only one fits: the one that was not used goes, and comes back when it is asked.
    @Test func contextsAreGivenUpForOthers() async throws {
      let text = try TestText.read("alice.txt", characters: 1500)
      let other = try TestText.read("persuasion.txt", characters: 1500)
      // 30 layers of 3 heads of 64: 23 KB of keys and values a token.
      let scheduler = try await Scheduler.start { $0.memoryBudget = 650 * 26_500 }
      let (first, _) = try await create(scheduler, text, name: "first")
      let (second, _) = try await create(scheduler, other, name: "second")
      #expect(try await scheduler.session(first.id).state == .evicted)
      #expect(try await scheduler.session(second.id).state == .ready)
      let answer = try await scheduler.ask("Who?", tokens: 2, session: first.id)
      #expect(answer.cachedTokens < first.tokens)
      #expect(try await scheduler.session(first.id).state == .ready)
      #expect(try await scheduler.session(second.id).state == .evicted)
      let again = try await scheduler.ask("Where?", tokens: 2, session: first.id)
      #expect(again.cachedTokens >= first.tokens - 2)
      let large = try TestText.read("persuasion.txt", characters: 4000)
      await #expect(throws: ServingError.self) {
        _ = try await scheduler.createSession(name: "x", text: large)
      }
      await scheduler.stop()
    }

    @Test func sessionsAreCounted() async throws {
      let scheduler = try await Scheduler.start { $0.maximumSessions = 1 }
      let (card, _) = try await create(scheduler, "A short text.")
      await #expect(throws: ServingError.self) {
        _ = try await scheduler.createSession(name: "x", text: "Another.")
      }
      try await scheduler.deleteSession(card.id)
      _ = try await create(scheduler, "Another.")
      await scheduler.stop()
    }
  }
}
