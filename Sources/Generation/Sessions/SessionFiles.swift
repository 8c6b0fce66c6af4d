// The file system calls of sessions: reading, replacing, listing, locking.

import Foundation
import Platform
import RetrievalAttention

enum SessionFiles {
  static let lockName = "lock"

  /// `rows-000001` and the like: nothing else in a manifest is a name, so that none leads out of the directory.
  static func isSegmentName(_ name: String) -> Bool {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    return parts.count == 2 && ["rows", "indx", "stat"].contains(parts[0])
      && (6...18).contains(parts[1].utf8.count)
      && parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) }
  }

  private static func isTemporaryManifest(_ name: String) -> Bool {
    name.hasPrefix(SessionManifest.fileName + ".") && name.hasSuffix(".tmp")
  }

  static func read(_ path: String, atMost limit: Int, session: String) throws -> Data {
    // Not to wait for the other end of a pipe, should it be one.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT {
        throw SessionError.notASession(path: session, reason: "there is no \(SessionManifest.fileName) in it")
      }
      throw SessionError.system(operation: "open", path: path, code: errno)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw SessionError.system(operation: "fstat", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else {
      throw SessionError.damagedManifest(
        path: path, reason: "it is no regular file of at most \(limit) bytes")
    }
    var data = Data(count: Int(status.st_size))
    var done = 0
    while done < data.count {
      let count = unsafe data.withUnsafeMutableBytes { bytes in
        unsafe Foundation.read(descriptor, bytes.baseAddress! + done, bytes.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw SessionError.system(operation: "read", path: path, code: count < 0 ? errno : EIO)
      }
      done += count
    }
    return data
  }

  /// Makes `data` the contents of `path`, or leaves there what was there. On the disk when this returns.
  static func replace(_ path: String, with data: Data) throws {
    let temporary = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw SessionError.system(operation: "open", path: temporary, code: errno)
    }
    do {
      defer { close(descriptor) }
      let output = SegmentOutput(descriptor: descriptor, path: temporary)
      try unsafe data.withUnsafeBytes { try unsafe output.write($0, at: 0) }
      try output.synchronize()
    } catch {
      unsafe unlink(temporary)
      throw error
    }
    // The new segments must be in the directory before the manifest that names them is.
    let directory = (path as NSString).deletingLastPathComponent
    synchronizeDirectory(directory)
    guard unsafe rename(temporary, path) == 0 else {
      let code = errno
      unsafe unlink(temporary)
      throw SessionError.system(operation: "rename", path: path, code: code)
    }
    synchronizeDirectory(directory)
  }

  /// Makes new names survive a loss of power. Some file systems cannot do it, so its errors are none.
  static func synchronizeDirectory(_ path: String) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// Removes what an interrupted save, or one that replaced it, left in a directory. Only its writer may.
  static func removeOrphans(_ directory: String, keeping manifest: SessionManifest) {
    let names = Set(manifest.files.map(\.name))
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    where isTemporaryManifest(name) || isSegmentName(name) && !names.contains(name) {
      unsafe unlink("\(directory)/\(name)")
    }
  }

  /// Bytes of a session's files, and the blocks of the disk that they take.
  static func size(_ directory: String, _ manifest: SessionManifest) -> (bytes: Int, onDisk: Int) {
    var total = (bytes: 0, onDisk: 0)
    for name in manifest.files.map(\.name) + [SessionManifest.fileName] {
      var status = stat()
      guard unsafe stat("\(directory)/\(name)", &status) == 0 else { continue }
      total.bytes += Int(status.st_size)
      total.onDisk += Int(status.st_blocks) * 512
    }
    return total
  }
}

/// The right to write to a session. It goes with the process, however that ends.
final class SessionLock {
  private let lock: FileLock

  init(_ directory: String) throws {
    let path = "\(directory)/\(SessionFiles.lockName)"
    let owner =
      "process \(getpid()) on \(ProcessInfo.processInfo.hostName), since \(Date().formatted(.iso8601))\n"
    do {
      lock = try FileLock(path, owner: owner)
    } catch {
      switch error {
      case .held(let owner): throw SessionError.locked(path: directory, owner: owner)
      case .system(let operation, let code):
        throw SessionError.system(operation: operation, path: path, code: code)
      }
    }
  }
}
