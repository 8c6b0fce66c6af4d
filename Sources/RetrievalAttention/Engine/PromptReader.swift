// One prompt read by several engines at the price of one.

package import AttentionModel

/// An engine that attends, and engines of other policies that read the same prompt along.
///
/// Followers get the rows of each batch, and their policies see its queries and outputs as if they had computed it,
/// which costs copies of the rows. Bit for bit the same as if each read by itself with exact attention: while there
/// are followers, no keys are chosen for a prompt. All have the same shape and have read the same tokens. While there
/// are any, single tokens too are read as a prompt. Each is told by itself when to update its index, and takes back a
/// batch by itself.
package struct PromptReader {
  package let engine: AttentionEngine
  package let followers: [AttentionEngine]

  package init(_ engine: AttentionEngine, followers: [AttentionEngine] = []) {
    self.engine = engine
    self.followers = followers
  }

  /// As ``AttentionEngine/attend(_:options:parallel:)``, for all of them; after an error nothing has changed.
  package func attend(
    _ call: AttentionCall, options: CallOptions = CallOptions(), parallel: ParallelRunner
  ) throws(AttentionError) {
    guard !followers.isEmpty else { return try engine.attend(call, options: options, parallel: parallel) }
    guard !call.isAttended else {
      throw .invalidSetting(
        name: "isAttended", value: "true", requirement: "false with followers, which see all")
    }
    try engine.check(call)
    for follower in followers { try follower.check(call) }
    options.observer?.onCall?(call)
    engine.begin(call, workers: parallel.workerCount)
    for follower in followers { follower.begin(call, workers: 0) }
    engine.prefill(call, options: options, followers: followers, parallel: parallel)
    engine.end(call)
    for follower in followers { follower.end(call) }
  }
}
