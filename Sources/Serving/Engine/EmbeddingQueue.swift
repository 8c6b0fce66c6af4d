// Between the tasks that want vectors and the one thread that makes them.

import Foundation
import LlamaHost
import Synchronization

/// Texts on their way to the engine's thread, and vectors on their way back.
final class EmbeddingQueue: Sendable {
  /// The texts of one request.
  private final class Job: Sendable {
    struct State {
      var vectors: [[Float]] = []
      var waiting: CheckedContinuation<[[Float]], any Error>?
    }

    let texts: [[Int32]]
    let isCancelled = Atomic(false)
    let state = Mutex(State())

    init(_ texts: [[Int32]]) { self.texts = texts }

    func finish(_ result: Result<[[Float]], any Error>) {
      let waiting = state.withLock { state in
        defer { state.waiting = nil }
        return state.waiting
      }
      waiting?.resume(with: result)
    }
  }

  private struct State {
    var jobs: [Job] = []
    var isWorking = false
    var isDraining = false
    var deadline: ContinuousClock.Instant?
    var statistics = ServingStatistics()
  }

  private let state = Mutex(State())
  private let signal = DispatchSemaphore(value: 0)

  var isIdle: Bool { state.withLock { $0.jobs.isEmpty && !$0.isWorking } }

  var statistics: ServingStatistics {
    state.withLock { state in
      var statistics = state.statistics
      statistics.running = state.isWorking ? 1 : 0
      statistics.waiting = state.jobs.count
      return statistics
    }
  }

  /// Makes a vector of each text; when the task is cancelled, what is left of them is given up.
  func run(_ texts: [[Int32]], limit: Int) async throws -> [[Float]] {
    guard !texts.isEmpty else { return [] }
    let job = Job(texts)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        job.state.withLock { $0.waiting = continuation }
        do {
          try submit(job, limit: limit)
        } catch {
          job.finish(.failure(error))
        }
      }
    } onCancel: {
      job.isCancelled.store(true, ordering: .releasing)
    }
  }

  private func submit(_ job: Job, limit: Int) throws {
    try state.withLock { state in
      guard !state.isDraining else { throw ServingError.draining }
      guard state.jobs.count < limit else {
        state.statistics.rejected += 1
        throw ServingError.queueFull(waiting: state.jobs.count, retryAfterSeconds: 1)
      }
      state.statistics.accepted += 1
      state.jobs.append(job)
    }
    signal.signal()
  }

  func drain(until deadline: ContinuousClock.Instant) {
    state.withLock {
      $0.isDraining = true
      $0.deadline = deadline
    }
    signal.signal()
  }

  /// Works until the server is drained.
  func work(_ context: EmbeddingContext) {
    while true {
      let (job, isOver, isLate) = state.withLock { state -> (Job?, Bool, Bool) in
        let job = state.jobs.isEmpty ? nil : state.jobs.removeFirst()
        state.isWorking = job != nil
        return (job, state.isDraining, state.deadline.map { ContinuousClock.now >= $0 } ?? false)
      }
      guard let job else {
        if isOver { return }
        _ = signal.wait(timeout: .now() + 60)
        continue
      }
      if isLate {
        end(job, .failure(ServingError.draining))
      } else {
        step(job, context)
      }
    }
  }

  /// Reads one text of a request, and sends it to the end of the row if there are more.
  private func step(_ job: Job, _ context: EmbeddingContext) {
    context.isCancelled = { [self] in
      job.isCancelled.load(ordering: .acquiring)
        || state.withLock { state in state.deadline.map { ContinuousClock.now >= $0 } ?? false }
    }
    do {
      guard !job.isCancelled.load(ordering: .acquiring) else { throw CancellationError() }
      let index = job.state.withLock { $0.vectors.count }
      let tokens = job.texts[index]
      let start = ContinuousClock.now
      let vector = try context.embed(tokens)
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let vectors = job.state.withLock { state in
        state.vectors.append(vector)
        return state.vectors
      }
      state.withLock { state in
        state.statistics.promptTokens += tokens.count
        state.statistics.batches += 1
        state.statistics.batchTokens += tokens.count
        state.statistics.busySeconds += seconds
        if vectors.count < job.texts.count { state.jobs.append(job) }
      }
      if vectors.count == job.texts.count { end(job, .success(vectors)) }
    } catch is CancellationError {
      let isCancelled = job.isCancelled.load(ordering: .acquiring)
      end(job, .failure(isCancelled ? CancellationError() : ServingError.draining))
    } catch {
      end(job, .failure(ServingError.engineFailure("\(error)")))
    }
  }

  private func end(_ job: Job, _ result: Result<[[Float]], any Error>) {
    state.withLock { state in
      switch result {
      case .success: state.statistics.completed += 1
      case .failure(is CancellationError): state.statistics.cancelled += 1
      case .failure: state.statistics.failed += 1
      }
    }
    job.finish(result)
  }
}
