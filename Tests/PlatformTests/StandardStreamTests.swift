import Foundation
import Testing

@testable import Platform

@Suite struct StandardStreamTests {
  @Test func `A full device is told once, and nothing is written after it`() throws {
    try #require(FileManager.default.fileExists(atPath: "/dev/full"))
    let descriptor = open("/dev/full", O_WRONLY)
    defer { close(descriptor) }
    let stream = StandardStream(descriptor: descriptor, name: "the output")
    let failure = try #require(stream.write("text"))
    #expect(failure.code == ENOSPC)
    #expect(!failure.isClosedPipe && !failure.isClosed)
    #expect("\(failure)" == "cannot write to the output: No space left on device")
    #expect(stream.write("more") == nil)
    #expect(stream.failure == failure)
  }

  @Test func `A pipe without a reader is told as one`() {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    let stream = StandardStream(descriptor: ends[1], name: "the output")
    #expect(stream.write("text")?.isClosedPipe == true)
  }

  @Test func `A closed stream is told as one`() {
    let stream = StandardStream(descriptor: 1 << 20, name: "the output")
    #expect(stream.write("") == nil)
    #expect(stream.write("text")?.isClosed == true)
  }

  @Test func `Everything is written, also to a pipe that does not wait`() async {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    let text = String(repeating: "0123456789abcdef", count: 1 << 16)
    let (source, target) = (ends[0], ends[1])
    let writer = Task.detached {
      let failure = StandardStream(descriptor: target, name: "the output").write(text)
      close(target)
      return failure
    }
    let read = await Task.detached { try? InputFile.read(source, limit: 1 << 22) }.value
    close(source)
    #expect(read == Data(text.utf8))
    #expect(await writer.value == nil)
  }
}
