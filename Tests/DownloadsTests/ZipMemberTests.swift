import Foundation
import Platform
import TestSupport
import Testing

@testable import Downloads

@Suite struct ZipMemberTests {
  private let folder: TemporaryFolder
  private let body = modelBytes(70_000) + Data(repeating: 0, count: 2_000_000)

  init() throws {
    signal(SIGPIPE, SIG_IGN)
    folder = try TemporaryFolder()
  }

  private func read(_ name: String, of wheel: Data) throws -> Data {
    let path = try folder.file("test.whl", wheel)
    var found = Data()
    try ZipMember(named: name, in: path).read(from: path) { found += $0 }
    return found
  }

  @Test(arguments: [true, false]) func `A member is read among others`(deflated: Bool) throws {
    let wheel = try TestWheel.build(
      [("a/first", Data("first".utf8)), ("a/model.bin", body), ("a/empty", Data())], deflated: deflated)
    #expect(try read("a/model.bin", of: wheel) == body)
    #expect(try read("a/first", of: wheel) == Data("first".utf8))
    #expect(try read("a/empty", of: wheel).isEmpty)
    let error = #expect(throws: DownloadError.self) { try read("model.bin", of: wheel) }
    #expect(error?.description.contains("model.bin") == true)
  }

  @Test func `Damage is told, and nothing traps`() throws {
    let wheel = try TestWheel.build([("a", modelBytes(3000))])
    // Everything that can be cut off, and every byte that can be another one.
    for length in stride(from: 0, to: wheel.count, by: 97) {
      #expect(throws: DownloadError.self, "\(length) bytes") { try read("a", of: Data(wheel.prefix(length))) }
    }
    var wrong = 0
    for place in stride(from: 0, to: wheel.count, by: 61) {
      var damaged = wheel
      damaged[place] ^= 0x55
      do {
        // What is no part of the member, such as a time, may be anything.
        #expect(try read("a", of: damaged) == modelBytes(3000), "byte \(place)")
      } catch is DownloadError {
        wrong += 1
      }
    }
    #expect(wrong > 20)
    #expect(throws: DownloadError.self) { try ZipMember(named: "a", in: folder.url("none").path) }
  }
}
