import Foundation
import Synchronization
import Testing

@testable import Platform

@Suite struct ThreadTests {
  @Test func `Work runs on its own thread, in order, with the task's cancellation`() async throws {
    let worker = WorkerThread(name: "a worker")
    let names = Names()
    let first = Task(executorPreference: worker) {
      names.add()
      // Blocks the thread, as work does.
      block(milliseconds: 50)
      return 1
    }
    let second = Task(executorPreference: worker) {
      names.add()
      while !Task.isCancelled { block(milliseconds: 1) }
      return 2
    }
    #expect(await first.value == 1)
    second.cancel()
    #expect(await second.value == 2)
    #expect(names.list.withLock { $0 } == ["a worker", "a worker"])
  }

  @Test func `A signal is told while every thread of tasks is busy`() async {
    let isTold = Flag()
    let signals = EndingSignals { _ in isTold.value.store(true, ordering: .releasing) }
    // One for each thread that tasks have, and some to spare.
    let isOver = Flag()
    let busy = (0..<ProcessInfo.processInfo.activeProcessorCount * 2).map { _ in
      Task.detached { while !isOver.value.load(ordering: .relaxed) { block(milliseconds: 1) } }
    }
    kill(getpid(), SIGTERM)
    for _ in 0..<20_000 where !isTold.value.load(ordering: .acquiring) { block(milliseconds: 1) }
    isOver.value.store(true, ordering: .relaxed)
    for task in busy { await task.value }
    let wasTold = isTold.value.load(ordering: .acquiring)
    #expect(wasTold)
    #expect(signals.received == SIGTERM)
    signals.stop()
  }
}

/// Keeps the thread busy, as work does; tasks are not to do so elsewhere.
private func block(milliseconds: UInt32) { usleep(milliseconds * 1000) }

private func threadName() -> String? { Thread.current.name }

/// Names of the threads that work ran on.
private final class Names: Sendable {
  let list = Mutex<[String?]>([])

  func add() {
    let name = threadName()
    list.withLock { $0.append(name) }
  }
}

private final class Flag: Sendable {
  let value = Atomic(false)
}
