import Foundation
import Testing

@Suite struct ServeTests {
  @Test func refusesToListenWithoutKeysElsewhere() throws {
    for host in ["0.0.0.0", "192.168.1.2", "::", "example.org", "127.example.org"] {
      expectRefusal(
        try Program.run(["serve", "--model", "none.gguf", "--host", host]), host, "--api-key-file",
        "--allow-unauthenticated")
    }
  }

  @Test func refusesWrongOptions() throws {
    for (arguments, words) in [
      (["--port", "70000"], ["--port", "70000"]), (["--parallel", "0"], ["--parallel", "1...256"]),
      (["--attention", "host"], ["host"]), (["--log-level", "loud"], ["loud"]),
      (["--memory", "-1"], ["--memory"]),
      (["--name", ""], ["--name"]), (["--stall", "0"], ["--stall"]),
    ] {
      let output = try Program.run(["serve", "--model", "none.gguf"] + arguments)
      expectRefusal(output)
      for word in words { #expect(output.standardError.contains(word), "\(output.standardError)") }
    }
  }

  /// Before the model is loaded.
  @Test func refusesUselessKeyFiles() throws {
    let folder = try TemporaryFolder()
    let empty = try folder.file("empty", Data("# nothing\n".utf8))
    expectRefusal(try Program.run(["serve", "--model", "none.gguf", "--api-key-file", empty]), "no key")
    expectRefusal(
      try Program.run(["serve", "--model", "none.gguf", "--api-key-file", folder.url("missing").path]),
      "missing")
  }

  @Test func saysWhenThePortIsTaken() throws {
    // A free port is not taken by anybody for long; port 1 is not for users, and root may have it: so take one.
    let taken = socket(AF_INET, streamSocket, 0)
    defer { close(taken) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(taken, $0, length) == 0)
        #expect(listen(taken, 1) == 0)
        #expect(getsockname(taken, $0, &length) == 0)
      }
    }
    let port = "\(in_port_t(bigEndian: address.sin_port))"
    let output = try Program.run(["serve", "--model", try Program.model(), "--threads", "1", "--port", port])
    #expect(!output.signalled)
    #expect(output.status != 0)
    #expect(output.standardOutput.isEmpty)
    #expect(output.standardError.contains("cannot listen on"), "\(output.standardError)")
    #expect(output.standardError.contains(port))
  }
}

#if canImport(Darwin)
  import Darwin
  private let streamSocket = SOCK_STREAM
#elseif canImport(Glibc)
  import Glibc
  private let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
  import Musl
  private let streamSocket = SOCK_STREAM
#endif
