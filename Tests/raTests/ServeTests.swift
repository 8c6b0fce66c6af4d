import Foundation
import Platform
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
      (["--attention", "host", "--kv-type", "q8"], ["--kv-type"]), (["--log-level", "loud"], ["loud"]),
      (["--memory", "-1"], ["--memory"]),
      (["--name", ""], ["--name"]), (["--stall", "0"], ["--stall"]),
      (["--alias", "a", "--alias", ""], ["--alias"]),
      (["--max-choices", "0"], ["--max-choices", "1...1024"]),
      (["--allow-origin", "*"], ["--allow-origin", "--api-key-file"]),
      (["--allow-origin", "app.example"], ["app.example", "https://"]),
      (["--allow-origin", "https://app.example/page"], ["/page"]),
      (["--pooling", "sum"], ["--pooling", "sum", "mean"]),
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

  /// Before the model is loaded: there is none.
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
    let output = try Program.run(["serve", "--model", "none.gguf", "--port", port])
    expectRefusal(output, "cannot listen on 127.0.0.1:\(port)")
    #expect(output.status == 1)
  }

  /// Before the model is loaded, and with nothing changed.
  @Test func refusesSessionsThatCannotBeServed() throws {
    let folder = try TemporaryFolder()
    let arguments = ["serve", "--model", "none.gguf", "--port", "0"]
    let missing = folder.url("missing").path
    expectRefusal(try Program.run(arguments + ["--session", missing]), missing)
    // A server has the folder.
    let lock = open(try folder.file(".lock", Data()), O_RDWR)
    defer { close(lock) }
    #expect(flock(lock, LOCK_EX) == 0)
    expectRefusal(
      try Program.run(arguments + ["--session-store", folder.url("").path]), "another server",
      folder.url("").path)
    let file = try folder.file("file", Data())
    expectRefusal(try Program.run(arguments + ["--session-store", file + "/store"]), file)
    // What could be used is not made for a model that is not there.
    expectRefusal(try Program.run(arguments + ["--session-store", missing]), "none.gguf")
    #expect(!FileManager.default.fileExists(atPath: missing))
  }
}
