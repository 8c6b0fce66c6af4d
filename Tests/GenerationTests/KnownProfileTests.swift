// Profiles that are found by the model's file.

import Foundation
import RetrievalAttention
import Testing

@testable import Generation

@Suite struct KnownProfileTests {
  private func profile(_ fingerprint: String?, sinkCount: Int = 16) -> RetrievalProfile {
    let outcome = RetrievalProfile.Outcome(
      text: "a.txt", context: 10, tokens: 5, uniformKL: 0.1, uniformBytes: 100, profileKL: 0.1,
      profileBytes: 70, uniformBytesAtProfileKL: nil)
    var profile = RetrievalProfile(
      model: "m", sinkCount: sinkCount, windowCount: 64, layerTolerances: [0.1, 0.2], targetKL: 0.1,
      calibration: outcome, validation: nil)
    profile.fingerprint = fingerprint
    return profile
  }

  @Test func `A profile is found by the file's size and ends`() throws {
    let scratch = try ScratchDirectory()
    let model = try scratch.write(TinyModel.llama(context: 256).build())
    let empty = scratch.url.appending(path: "none").path
    #expect(try RetrievalProfile.known(forModel: model, folder: empty) == nil)
    let folder = scratch.url.appending(path: "profiles").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let own = profile(try ModelFingerprint.text(ofFile: model), sinkCount: 17)
    try Data("{".utf8).write(to: URL(fileURLWithPath: folder + "/a-broken.json"))
    try profile("1-another").json().write(to: URL(fileURLWithPath: folder + "/b-other.json"))
    try profile(nil).json().write(to: URL(fileURLWithPath: folder + "/b-nobody.json"))
    #expect(try RetrievalProfile.known(forModel: model, folder: folder) == nil)
    try own.json().write(to: URL(fileURLWithPath: folder + "/c-own.json"))
    let known = try RetrievalProfile.known(forModel: model, folder: folder)
    #expect(known == RetrievalProfile.Known(profile: own, path: folder + "/c-own.json"))
    #expect(known?.profile.applied(to: RetrievalSettings()).sinkCount == 17)
    #expect(throws: GenerationError.self) { try RetrievalProfile.known(forModel: empty, folder: folder) }
    let local = try LocalModel(path: model, profiles: folder)
    #expect(local.profile == known)
    #expect(local.contextLength == 256)
    #expect(local.architecture == "llama")
    #expect(!local.hasChatTemplate)
    #expect(local.support == .takenOver(isHybrid: false))
  }
}
