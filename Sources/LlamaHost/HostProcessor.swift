// Whether this processor can run the llama.cpp that the program was linked with.

import CLlama
import Platform

package enum HostProcessor {
  /// Instructions that llama.cpp was compiled for and this processor lacks: computing would end the process.
  static let missing: [String] = {
    let compiled: [(kind: String, isUsed: Int32)] = [
      ("AVX", ggml_cpu_has_avx()), ("AVX2", ggml_cpu_has_avx2()), ("FMA", ggml_cpu_has_fma()),
      ("F16C", ggml_cpu_has_f16c()), ("BMI2", ggml_cpu_has_bmi2()), ("AVX-512", ggml_cpu_has_avx512()),
      ("FP16", ggml_cpu_has_fp16_va()), ("DOTPROD", ggml_cpu_has_dotprod()),
      ("SVE", ggml_cpu_has_sve()), ("I8MM", ggml_cpu_has_matmul_int8()),
    ]
    return compiled.filter { $0.isUsed != 0 && !ProcessorInstructions.has($0.kind) }.map(\.kind)
  }()

  /// Whether llama.cpp multiplies quantized weights by the processor's matrix unit (AMX).
  package static var hasMatrixUnit: Bool { ggml_cpu_has_amx_int8() != 0 }

  /// - Throws: ``LlamaError/instructionsMissing(_:)``.
  static func check() throws(LlamaError) {
    guard missing.isEmpty else { throw .instructionsMissing(missing) }
  }
}
