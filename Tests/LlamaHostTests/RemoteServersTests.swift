// What passes for a server, and what is refused before ggml would end the process over it.

import Foundation
import LlamaHost
import Platform
import Testing

extension HostTests {
  @Suite struct RemoteServersTests {
    @Test(arguments: [
      "", "host", "host:", ":50052", "host:0", "host:65536", "host:50052:1", "host:5x", "host:-1",
    ])
    func refusesAddresses(address: String) {
      let error = #expect(throws: LlamaError.self) { try RemoteServers.parse(address) }
      #expect(error?.description.contains("HOST:PORT") == true)
    }

    @Test func readsAddresses() throws {
      let address = try RemoteServers.parse("10.0.0.2:50052")
      #expect(address.host == "10.0.0.2")
      #expect(address.port == 50052)
    }

    private func greet(port: UInt16) throws {
      try Greeting(host: "127.0.0.1", port: port).check {
        .remoteServer(address: "127.0.0.1:\(port)", reason: $0)
      }
    }

    @Test func greetsAServerOfTheSameVersion() throws {
      let server = try Listener(answer: [Greeting.version.major, Greeting.version.minor, 0])
      try greet(port: server.port)
      let received = try #require(server.wait())
      // The command, the length of what follows in 8 bytes, and as much.
      #expect(received == [14, 24] + [UInt8](repeating: 0, count: 31))
    }

    @Test(arguments: [
      [Greeting.version.major + 1, 0], [Greeting.version.major, Greeting.version.minor + 1],
    ])
    func refusesOtherVersions(version: [Int]) throws {
      let server = try Listener(answer: version + [3])
      let error = #expect(throws: LlamaError.self) { try greet(port: server.port) }
      #expect(error?.description.contains("version \(version[0]).\(version[1]).3") == true)
    }

    @Test func refusesOthersThatListen() throws {
      let server = try Listener(answer: nil)
      let error = #expect(throws: LlamaError.self) { try greet(port: server.port) }
      #expect(error?.description.contains("closed the connection") == true)
    }

    @Test func refusesPortsWithoutListener() throws {
      let port = try Listener(answer: nil).closedPort()
      let error = #expect(throws: LlamaError.self) { try greet(port: port) }
      #expect(error?.description.contains("cannot be reached") == true)
    }

    @Test func refusesUnknownDevices() {
      let error = #expect(throws: LlamaError.self) { try ComputeDevice.named(["Nowhere9"]) }
      #expect(error?.description.contains("Nowhere9") == true)
    }

    @Test func theCPUIsADeviceThatTakesNoLayers() throws {
      let cpu = try #require(ComputeDevice.all().first { $0.kind == .cpu })
      #expect(!cpu.takesLayers)
      #expect(ComputeDevice.preferred(among: [cpu]).isEmpty)
      #expect(throws: LlamaError.self) { try ComputeDevice.named([cpu.name]) }
    }

    @Test func weightsOfTheLastLayers() throws {
      let file = try GGUFFile(validating: TestModel.path())
      let model = try TestModel.load().description
      #expect(LlamaModel.weightBytes(of: file, layers: 0) == 0)
      let all = LlamaModel.weightBytes(of: file, layers: .max)
      #expect(all == LlamaModel.weightBytes(of: file, layers: model.layerCount + 1))
      // Every layer but the first one more; the output uses the input's weights in this model.
      let one = LlamaModel.weightBytes(of: file, layers: 1)
      let two = LlamaModel.weightBytes(of: file, layers: 2)
      let embedding = try #require(file.tensors.first { $0.name == "token_embd.weight" }).byteCount
      let last = file.tensors.filter { $0.name.hasPrefix("blk.\(model.layerCount - 1).") }.reduce(0) {
        $0 + $1.byteCount
      }
      #expect(!file.tensors.contains { $0.name == "output.weight" })
      #expect(one >= embedding)
      #expect(two - one == last)
      #expect(all == file.tensors.reduce(0) { $0 + $1.byteCount })
    }
  }
}

/// Accepts one connection, reads a greeting, answers with a version or not at all, and closes it.
private final class Listener: @unchecked Sendable {
  let port: UInt16
  private let listening: Int32
  private let done = DispatchSemaphore(value: 0)
  private var received: [UInt8]?

  init(answer: [Int]?) throws {
    listening = socket(AF_INET, streamSocket, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listening = listening
    let status = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listening, $0, length) | listen(listening, 1) | getsockname(listening, $0, &length)
      }
    }
    try #require(status == 0)
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in
      let connection = accept(listening, nil, nil)
      if connection >= 0 {
        var bytes = [UInt8](repeating: 0, count: 33)
        let count = recv(connection, &bytes, bytes.count, Int32(MSG_WAITALL))
        received = Array(bytes.prefix(max(0, count)))
        if let answer {
          let message: [UInt8] =
            [28, 0, 0, 0, 0, 0, 0, 0] + answer.map { UInt8($0) } + [UInt8](repeating: 0, count: 25)
          _ = send(connection, message, message.count, 0)
        }
        close(connection)
      }
      done.signal()
    }
  }

  deinit { close(listening) }

  func wait() -> [UInt8]? {
    done.wait()
    return received
  }

  /// Stops listening.
  func closedPort() -> UInt16 {
    shutdown(listening, Int32(SHUT_RDWR))
    done.wait()
    return port
  }
}
