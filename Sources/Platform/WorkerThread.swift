// Work that computes for minutes does not belong on the threads that all tasks share: on one processor there is one of
// them.

import Foundation
import Synchronization

/// A thread that runs tasks which block it, one after another.
///
///     let task = Task(executorPreference: WorkerThread.shared) { try compute() }
///
/// Cancellation, task-local values and priorities are those of the task. The thread lives as long as the process.
package final class WorkerThread: TaskExecutor {
  /// The one for a program's main work.
  package static let shared = WorkerThread(name: "work")

  private struct Job: Sendable {
    let job: UnownedJob
  }

  private let jobs = Mutex<[Job]>([])
  private let signal = DispatchSemaphore(value: 0)

  /// - Parameter stackSize: in bytes; the host's graph builder recurses.
  package init(name: String, stackSize: Int = 16 << 20) {
    let thread = Thread { [self] in
      // On Linux a name counts only when the thread gives it to itself.
      Thread.current.name = name
      while true {
        signal.wait()
        let next = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        unsafe next?.job.runSynchronously(on: asUnownedTaskExecutor())
      }
    }
    thread.stackSize = stackSize
    thread.start()
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = Job(job: UnownedJob(job))
    jobs.withLock { $0.append(job) }
    signal.signal()
  }
}
