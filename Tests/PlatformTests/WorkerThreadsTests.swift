import Dispatch
import Platform
import Synchronization
import Testing

@Suite struct WorkerThreadsTests {
  private struct Failure: Error {}

  @Test func resultsAndErrorsComeBack() async throws {
    let workers = WorkerThreads(count: 2)
    let values = try await withThrowingTaskGroup(of: Int.self) { group in
      for index in 0..<200 { group.addTask { try await workers.run(size: index << 12) { _ in index } } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(values.sorted() == Array(0..<200))
    await #expect(throws: Failure.self) { try await workers.run(size: 0) { _ in throw Failure() } }
  }

  /// Large jobs never have all threads.
  @Test func smallJobsPassLargeOnes() async throws {
    let workers = WorkerThreads(count: 3)
    let gate = DispatchSemaphore(value: 0)
    let counts = Counts()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<5 {
        group.addTask {
          try await workers.run(size: .max) { _ in
            counts.begin()
            gate.wait()
            counts.end()
          }
        }
      }
      while counts.running < 2 { await Task.yield() }
      for index in 0..<20 { #expect(try await workers.run(size: 1) { _ in index } == index) }
      for _ in 0..<5 { gate.signal() }
      try await group.waitForAll()
    }
    #expect(counts.most == 2)
  }

  @Test func cancelledJobsDoNotBegin() async throws {
    let workers = WorkerThreads(count: 2)
    let gate = DispatchSemaphore(value: 0)
    let (busy, began) = (Counts(), Counts())
    let blocked = (0..<2).map { _ in
      Task {
        try await workers.run(size: 0) { _ in
          busy.begin()
          gate.wait()
        }
      }
    }
    // No thread is free.
    while busy.running < 2 { await Task.yield() }
    let waiting = Task { try await workers.run(size: 0) { _ in began.begin() } }
    waiting.cancel()
    // Before there is a thread for it.
    await #expect(throws: CancellationError.self) { try await waiting.value }
    for _ in blocked { gate.signal() }
    for task in blocked { try await task.value }
    #expect(began.running == 0)
  }

  @Test func runningJobsLearnOfTheirCancellation() async throws {
    let workers = WorkerThreads(count: 2)
    let began = Counts()
    let task = Task {
      try await workers.run(size: 0) { cancellation in
        began.begin()
        while true { try cancellation.check() }
      }
    }
    while began.running == 0 { await Task.yield() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}

/// How many jobs run, and how many did at once.
private final class Counts: Sendable {
  private let state = Mutex((running: 0, most: 0))

  var running: Int { state.withLock { $0.running } }
  var most: Int { state.withLock { $0.most } }

  func begin() {
    state.withLock {
      $0.running += 1
      $0.most = max($0.most, $0.running)
    }
  }

  func end() { state.withLock { $0.running -= 1 } }
}
