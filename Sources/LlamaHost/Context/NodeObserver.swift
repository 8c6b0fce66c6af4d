// llama.cpp's evaluation callback, turned into a method.

import CLlama

/// Sees every node of the host's graph before it is computed, and may see it afterwards.
class NodeObserver {
  /// The scheduler asks about each node in order (`isAsking`). For one that got the answer true it stops
  /// after computing it and calls again; false then ends the evaluation, which the host does not report as an
  /// error.
  func visit(_ node: TensorPointer, isAsking: Bool) -> Bool { false }

  /// Lets the host call this object, which must outlive the context.
  func install(in parameters: inout llama_context_params) {
    unsafe parameters.cb_eval = { node, isAsking, state in
      guard let node = unsafe node, let state = unsafe state else { return !isAsking }
      return unsafe Unmanaged<NodeObserver>.fromOpaque(state)._withUnsafeGuaranteedRef {
        unsafe $0.visit(node, isAsking: isAsking)
      }
    }
    unsafe parameters.cb_eval_user_data = unsafe Unmanaged.passUnretained(self).toOpaque()
  }
}
