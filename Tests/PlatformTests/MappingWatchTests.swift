import Foundation
import Testing

@testable import Platform

@Suite struct MappingWatchTests {
  /// A file of four pages of ones, mapped.
  private struct Mapped {
    let path = FileManager.default.temporaryDirectory.appending(path: "PlatformTests-\(UUID().uuidString)")
      .path
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let base: UnsafeMutableRawPointer
    let descriptor: Int32

    init() throws {
      try Data(repeating: 1, count: 4 * page).write(to: URL(fileURLWithPath: path))
      descriptor = open(path, O_RDWR)
      base = try #require(mmap(nil, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0))
    }

    func end() {
      munmap(base, 4 * page)
      close(descriptor)
      unlink(path)
    }

    func byte(_ page: Int) -> UInt8 { base.load(fromByteOffset: page * self.page, as: UInt8.self) }
  }

  @Test func `What a shorter file no longer has reads as zeros, and is told`() throws {
    let mapped = try Mapped()
    defer { mapped.end() }
    let before = MappingWatch.cutCount
    let watch = MappingWatch(mapped.base, byteCount: 4 * mapped.page, path: mapped.path)
    #expect(mapped.byte(0) == 1 && !watch.isCut)
    ftruncate(mapped.descriptor, off_t(2 * mapped.page))
    #expect(mapped.byte(1) == 1)
    #expect(!watch.isCut && MappingWatch.cutCount == before)
    #expect(mapped.byte(3) == 0)
    #expect(watch.isCut && MappingWatch.cutCount == before + 1)
    // The page is there now.
    #expect(mapped.byte(3) == 0)
    #expect(MappingWatch.cutCount == before + 1)
  }

  @Test func `Other mappings are not blamed, and numbers are used again`() throws {
    let (first, second) = (try Mapped(), try Mapped())
    defer {
      first.end()
      second.end()
    }
    for _ in 0..<3 { _ = MappingWatch(first.base, byteCount: 4 * first.page, path: first.path) }
    let watches = [first, second].map { MappingWatch($0.base, byteCount: 4 * $0.page, path: $0.path) }
    ftruncate(second.descriptor, 0)
    #expect(second.byte(0) == 0)
    #expect(watches.map(\.isCut) == [false, true])
    #expect(first.byte(2) == 1)
  }

  @Test func `A mapping that nobody watches ends the process with a sentence`() async {
    await #expect(processExitsWith: .exitCode(1)) {
      let mapped = try Mapped()
      MappingWatch.endProcess(saying: "a file became shorter\n")
      ftruncate(mapped.descriptor, 0)
      // Not to be left out by a compiler that sees no use for it.
      exit(mapped.byte(0) == 1 ? 2 : 3)
    }
  }
}
