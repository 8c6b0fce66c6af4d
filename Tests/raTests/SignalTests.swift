// On one processor every command still ends when it is asked to.

import Foundation
import Testing

#if os(Linux)
  @Suite(.serialized) struct SignalTests {
    /// Runs `ra` on one processor, sends a signal once `isReady`, and returns how it ended and after how many seconds.
    private func interrupt(
      _ arguments: [String], signal: Int32, environment: [String: String] = [:], input: String = "",
      when isReady: (RunningProgram) -> Bool
    ) throws -> (output: Output, seconds: Double) {
      let program = try RunningProgram(
        ["-c", "0", try Program.path()] + arguments, environment: environment, executable: "/usr/bin/taskset")
      if !input.isEmpty { program.send(input) }
      try program.wait { isReady(program) }
      let start = ContinuousClock.now
      program.signal(signal)
      let output = try program.finish()
      return (output, (ContinuousClock.now - start) / .seconds(1))
    }

    /// A long document: minutes of reading on one processor.
    private static func document(_ folder: TemporaryFolder) throws -> String {
      try folder.file("book.txt", Data(try TestText.read("persuasion.txt").utf8))
    }

    /// Generous beside "within a layer": the test may share the machine.
    private static let limit = 15.0

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func `Reading stops within a layer, and what was read is saved`(signal: Int32) throws {
      let home = try SessionHome()
      let (output, seconds) = try interrupt(
        [
          "ingest", "-m", try Program.model(), "-d", try Self.document(home.folder), "-s", "book", "-t", "1",
          "--checkpoint", "0", "--allow-beyond-context",
        ], signal: signal, environment: home.environment
      ) { _ in
        // Made by the second save, the first one after the plan.
        FileManager.default.fileExists(
          atPath: home.folder.url("data/retrieval-attention/sessions/book/rows-000002").path)
      }
      #expect(output.status == 128 + signal && !output.signalled, "\(output)")
      #expect(seconds < Self.limit)
      #expect(output.standardError.contains("ra ingest --resume --session book"))
      let session = try home.show("book")
      #expect((session["tokenCount"] as? Int ?? 0) > 0)
      #expect((session["pendingTokenCount"] as? Int ?? 0) > 0)
      #expect(try home.ra(["session", "verify", "book"]).status == 0)
    }

    @Test func `An answer stops, and what was said is there`() throws {
      let (output, seconds) = try interrupt(
        [
          "generate", "-m", try Program.model(), "-t", "1", "--raw", "-p",
          "1, 2, 3, 4, 5, 6, 7, 8,", "--max-tokens", "100000", "--allow-beyond-context",
        ], signal: SIGTERM
      ) { $0.standardOutput.count > 20 }
      #expect(output.status == 130 && !output.signalled, "\(output)")
      #expect(seconds < Self.limit)
      #expect(output.standardError.contains("The answer was stopped after"))
    }

    @Test func `A conversation ends, and its session is whole`() throws {
      let home = try SessionHome()
      let (output, seconds) = try interrupt(
        [
          "chat", "-m", try Program.model(), "-t", "1", "-s", "talk", "--max-tokens", "100000",
          "--allow-beyond-context",
        ], signal: SIGTERM, environment: home.environment, input: "Tell me a long story.\n"
      ) { $0.standardOutput.count > 5 }
      #expect(output.status == 128 + SIGTERM && !output.signalled, "\(output)")
      #expect(seconds < Self.limit)
      #expect(try home.ra(["session", "verify", "talk"]).status == 0)
    }

    @Test(arguments: [
      ["fidelity", "--text", "BOOK", "--context", "7000", "--tokens", "64"],
      ["bench", "decode", "--depth", "7000"], ["bench", "prefill", "--depth", "7000"],
      ["bench", "drafts", "--depth", "7000"],
      ["capture", "--text", "BOOK", "--context", "7000", "--layers", "1", "--output", "OUTPUT"],
      ["tune", "--text", "BOOK", "--context", "7000", "--output", "OUTPUT"],
      ["evaluate", "--report", "OUTPUT"],
    ])
    func `Measurements stop`(arguments: [String]) throws {
      let home = try SessionHome()
      let places = ["BOOK": try Self.document(home.folder), "OUTPUT": home.folder.url("output").path]
      let split = arguments[0] == "bench" ? 2 : 1
      let words = arguments[..<split] + ["-m", try Program.model(), "-t", "1"] + arguments[split...]
      let begin = ContinuousClock.now
      let (output, seconds) = try interrupt(
        words.map { places[$0] ?? $0 }, signal: SIGINT, environment: home.environment
      ) { _ in ContinuousClock.now - begin > .seconds(2) }
      #expect(output.status == 128 + SIGINT && !output.signalled, "\(output)")
      #expect(seconds < Self.limit)
    }
  }
#endif
