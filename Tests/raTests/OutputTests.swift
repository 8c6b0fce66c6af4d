// Outputs that cannot be written: one sentence and a status, never a crash.

import Testing

@Suite(.serialized) struct OutputTests {
  #if os(Linux)
    private static let full = "Error: cannot write to standard output: No space left on device\n"

    @Test(arguments: [
      ["attention", "list"], ["--help"], ["--version"], ["session", "list", "--folder", "/"],
      ["session", "list", "--folder", "/", "--json"], ["help", "generate"],
    ])
    func `A full standard output is told`(arguments: [String]) throws {
      let output = try Program.shell(arguments, ">/dev/full")
      // What there is to say besides may come first.
      guard arguments != ["session", "list", "--folder", "/"] else {
        #expect(output.status == 0, "nothing was to be written there")
        return
      }
      #expect(output.status == 1 && !output.signalled, "\(output)")
      #expect(output.standardError == Self.full)
    }

    @Test func `An answer that cannot be written ends at once`() throws {
      let output = try Program.shell(
        ["generate", "-m", try Program.model(), "-p", "Count to a thousand.", "--max-tokens", "2000"],
        ">/dev/full")
      #expect(output.status == 1 && !output.signalled)
      #expect(output.standardError.contains(Self.full))
    }

    @Test func `A full standard error stops nothing`() throws {
      let output = try Program.shell(
        ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], "2>/dev/full")
      #expect(output.status == 1 && !output.signalled)
      #expect(!output.standardOutput.isEmpty)
    }
  #endif

  @Test func `A closed standard output is told, and no file gets its place`() throws {
    let output = try Program.shell(
      ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], ">&-")
    #expect(output.status == 1 && !output.signalled)
    #expect(output.standardError.contains("Error: cannot write to standard output: Bad file descriptor\n"))
  }

  @Test func `A closed standard error is nobody's business`() throws {
    let output = try Program.shell(
      ["generate", "-m", try Program.model(), "-p", "Say yes.", "--max-tokens", "3"], "2>&-")
    #expect(output.status == 0 && !output.signalled)
    #expect(!output.standardOutput.isEmpty)
  }

  @Test func `A pipe without a reader ends the program quietly`() throws {
    let output = try Program.shell(["attention", "list"], "| true; exec 2>&-")
    #expect(output.standardError.isEmpty)
  }
}
