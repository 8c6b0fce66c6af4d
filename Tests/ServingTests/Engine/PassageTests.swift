// Passages that answers of the server came from, and drafts of its answers.

import Evidence
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite struct PassageTests {
    private static let document =
      "The library opens at nine. The password of the library is rosebud. Cats are not allowed in the reading room."

    private func request(
      _ question: String = "What is the password of the library?",
      _ change: (inout CompletionRequest) -> Void = { _ in }
    ) -> CompletionRequest {
      var request = CompletionRequest(
        prompt: .chat(
          ChatRequest([
            ChatMessage(
              role: .user,
              content: "\(Self.document)\n\n\(question)")
          ])), maximumTokens: 24, sampling: .greedy)
      request.sources = [SourceText(name: "library.txt", text: Self.document)]
      change(&request)
      return request
    }

    @Test func passagesOfAnAnswerAreTold() async throws {
      let scheduler = try await Scheduler.start()
      let plain = try await scheduler.answer(request())
      #expect(plain.evidence.isEmpty)
      let answer = try await scheduler.answer(request { $0.findsEvidence = true })
      #expect(answer.text.lowercased().contains("rosebud"))
      let record = try #require(answer.evidence[0])
      #expect(record.documents == ["library.txt"])
      let cited = record.citations.map(\.citedText)
      #expect(cited.contains { $0.contains("rosebud") }, "\(cited)")
      for entry in record.citations {
        let scalars = Array(Self.document.unicodeScalars)[
          entry.source.startCharIndex..<entry.source.endCharIndex]
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        #expect(text == entry.citedText)
      }
      await scheduler.stop()
    }

    @Test func draftsLeaveTheAnswerAsItIs() async throws {
      var answers: [Answer] = []
      for drafts in [false, true] {
        let scheduler = try await Scheduler.start { $0.draftsFromText = drafts }
        answers.append(
          try await scheduler.answer(request("Repeat the sentence about the password of the library.")))
        await scheduler.stop()
      }
      #expect(answers[0].text == answers[1].text)
      #expect(answers[0].statistics?.acceptedDrafts == 0)
      #expect(answers[1].statistics?.acceptedDrafts ?? 0 > 0)
    }

    /// Drafts of those that are answered leave room for the logits of those that come in between.
    @Test func manyAnswersWithDraftsGoOnTogether() async throws {
      let scheduler = try await Scheduler.start { $0.parallel = 4 }
      let question = "Repeat the sentence about the password of the library."
      let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
        for number in 0..<8 {
          let request = request("\(question) (\(number))") { $0.maximumTokens = 16 + number }
          group.addTask {
            try await Task.sleep(for: .milliseconds(60 * number))
            return try await scheduler.answer(request)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count == 8)
      #expect(answers.allSatisfy { !$0.text.isEmpty && $0.reasons[0] != nil })
      #expect(answers.contains { $0.statistics?.acceptedDrafts ?? 0 > 0 })
      await scheduler.stop()
    }
  }
}
