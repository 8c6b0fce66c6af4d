// Profiles that are found by the model's file.

import Foundation
import RetrievalAttention
import Testing

@testable import Generation

@Suite struct KnownProfileTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent()

  /// What the program carries is what Profiles/ tells of.
  @Test func `Profiles of the program are those of the folder`() throws {
    let folder = Self.root.appendingPathComponent("Profiles")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
      $0.hasSuffix(".json")
    }
    let profiles = try files.map { try RetrievalProfile(contentsOf: folder.appendingPathComponent($0).path) }
    #expect(profiles.count == 3)
    #expect(Set(profiles) == Set(RetrievalProfile.included))
    #expect(Set(profiles.map(\.fingerprint)).count == 3)
    #expect(profiles.allSatisfy { $0.fingerprint != nil })
  }

  @Test func `A profile is found by the file's size and ends`() throws {
    let scratch = try ScratchDirectory()
    let model = try scratch.write(TinyModel.llama(context: 256).build())
    let empty = scratch.url.appending(path: "none").path
    #expect(try RetrievalProfile.known(forModel: model, folder: empty) == nil)
    let folder = scratch.url.appending(path: "profiles").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var profile = RetrievalProfile.included[0]
    profile.fingerprint = try ModelFingerprint.text(ofFile: model)
    try Data("{".utf8).write(to: URL(fileURLWithPath: folder + "/a-broken.json"))
    try RetrievalProfile.included[1].json().write(to: URL(fileURLWithPath: folder + "/b-other.json"))
    try profile.json().write(to: URL(fileURLWithPath: folder + "/c-own.json"))
    let known = try RetrievalProfile.known(forModel: model, folder: folder)
    #expect(known == RetrievalProfile.Known(profile: profile, path: folder + "/c-own.json"))
    #expect(throws: GenerationError.self) { try RetrievalProfile.known(forModel: empty, folder: folder) }
    let local = try LocalModel(path: model, profiles: folder)
    #expect(local.profile == known)
    #expect(local.contextLength == 256)
    #expect(local.architecture == "llama")
    #expect(!local.hasChatTemplate)
    #expect(local.support == .takenOver(isHybrid: false))
  }

  @Test func `A user's own profile counts before the program's`() throws {
    let scratch = try ScratchDirectory()
    let folder = scratch.url.appending(path: "profiles").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var own = RetrievalProfile.included[0]
    own.sinkCount = 17
    let fingerprint = try #require(own.fingerprint)
    #expect(RetrievalProfile.known(withFingerprint: fingerprint, folder: folder)?.path == nil)
    try own.json().write(to: URL(fileURLWithPath: folder + "/own.json"))
    #expect(RetrievalProfile.known(withFingerprint: fingerprint, folder: folder)?.profile.sinkCount == 17)
    #expect(own.applied(to: RetrievalSettings()).sinkCount == 17)
  }
}
