// What decode steps spend their time on, for whoever asks.

package import VectorIndex

/// Times of the attention of decode steps, added up over layers and steps.
package final class DecodeProfile {
  private var clocks: [StageClock] = []
  /// From the call of a layer's attention to its end.
  package private(set) var wall: Duration = .zero
  package private(set) var layerCount = 0

  package init() {}

  /// Nanoseconds of all workers together.
  package func nanoseconds(_ stage: DecodeStage) -> Int64 {
    clocks.reduce(0) { $0 + $1.nanoseconds[stage.rawValue] }
  }

  func begin(_ workspaces: [Workspace]) -> ContinuousClock.Instant {
    while clocks.count < workspaces.count { clocks.append(StageClock()) }
    for (workspace, clock) in zip(workspaces, clocks) { workspace.stages = clock }
    return ContinuousClock.now
  }

  func end(_ start: ContinuousClock.Instant, _ workspaces: [Workspace]) {
    wall += ContinuousClock.now - start
    layerCount += 1
    for workspace in workspaces { workspace.stages = nil }
  }
}
