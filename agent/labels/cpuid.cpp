#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "agent/labels/groups.hpp"

namespace cloudos::labels {

namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// The kernel's names (arch/x86/include/asm/cpufeatures.h) and those of node-feature-discovery (its CPUID library's). Left
// out are the ones that node-feature-discovery hides by default because every machine has them (SSE2, POPCNT, …), and
// mitigations, whose flags in /proc/cpuinfo are the kernel's own and not the CPU's.
constexpr std::array x86 = {Pair{"3dnow", "AMD3DNOW"},
                            Pair{"3dnowext", "AMD3DNOWEXT"},
                            Pair{"adx", "ADX"},
                            Pair{"aes", "AESNI"},
                            Pair{"amd_ppin", "PPIN"},
                            Pair{"amx_bf16", "AMXBF16"},
                            Pair{"amx_complex", "AMXCOMPLEX"},
                            Pair{"amx_fp16", "AMXFP16"},
                            Pair{"amx_int8", "AMXINT8"},
                            Pair{"amx_tile", "AMXTILE"},
                            Pair{"apx", "APX_F"},
                            Pair{"avx", "AVX"},
                            Pair{"avx2", "AVX2"},
                            Pair{"avx512_bf16", "AVX512BF16"},
                            Pair{"avx512_bitalg", "AVX512BITALG"},
                            Pair{"avx512_fp16", "AVX512FP16"},
                            Pair{"avx512_vbmi2", "AVX512VBMI2"},
                            Pair{"avx512_vnni", "AVX512VNNI"},
                            Pair{"avx512_vp2intersect", "AVX512VP2INTERSECT"},
                            Pair{"avx512_vpopcntdq", "AVX512VPOPCNTDQ"},
                            Pair{"avx512bw", "AVX512BW"},
                            Pair{"avx512cd", "AVX512CD"},
                            Pair{"avx512dq", "AVX512DQ"},
                            Pair{"avx512er", "AVX512ER"},
                            Pair{"avx512f", "AVX512F"},
                            Pair{"avx512ifma", "AVX512IFMA"},
                            Pair{"avx512pf", "AVX512PF"},
                            Pair{"avx512vbmi", "AVX512VBMI"},
                            Pair{"avx512vl", "AVX512VL"},
                            Pair{"avx_ifma", "AVXIFMA"},
                            Pair{"avx_ne_convert", "AVXNECONVERT"},
                            Pair{"avx_vnni", "AVXVNNI"},
                            Pair{"avx_vnni_int16", "AVXVNNIINT16"},
                            Pair{"avx_vnni_int8", "AVXVNNIINT8"},
                            Pair{"cldemote", "CLDEMOTE"},
                            Pair{"clzero", "CLZERO"},
                            Pair{"cmpccxadd", "CMPCCXADD"},
                            Pair{"cpb", "CPBOOST"},
                            Pair{"cppc", "CPPC"},
                            Pair{"cx8", "CMPXCHG8"},
                            Pair{"enqcmd", "ENQCMD"},
                            Pair{"flush_l1d", "FLUSH_L1D"},
                            Pair{"fma", "FMA3"},
                            Pair{"fma4", "FMA4"},
                            Pair{"fpu", "X87"},
                            Pair{"fsrm", "FSRM"},
                            Pair{"fxsr", "FXSR"},
                            Pair{"fxsr_opt", "FXSROPT"},
                            Pair{"gfni", "GFNI"},
                            Pair{"hle", "HLE"},
                            Pair{"hypervisor", "HYPERVISOR"},
                            Pair{"ibs", "IBS"},
                            Pair{"ibt", "CETIBT"},
                            Pair{"invlpgb", "INVLPGB"},
                            Pair{"irperf", "MSRIRC"},
                            Pair{"lahf_lm", "LAHF"},
                            Pair{"movbe", "MOVBE"},
                            Pair{"movdir64b", "MOVDIR64B"},
                            Pair{"movdiri", "MOVDIRI"},
                            Pair{"mpx", "MPX"},
                            Pair{"npt", "SVMNP"},
                            Pair{"nrip_save", "NRIPS"},
                            Pair{"overflow_recov", "MCAOVERFLOW"},
                            Pair{"pconfig", "PCONFIG"},
                            Pair{"rdpru", "RDPRU"},
                            Pair{"rtm", "RTM"},
                            Pair{"sep", "SYSEE"},
                            Pair{"serialize", "SERIALIZE"},
                            Pair{"sev", "SEV"},
                            Pair{"sev_es", "SEV_ES"},
                            Pair{"sev_snp", "SEV_SNP"},
                            Pair{"sha_ni", "SHA"},
                            Pair{"sm3", "SM3_X86"},
                            Pair{"sm4", "SM4_X86"},
                            Pair{"sme", "SME"},
                            Pair{"sse4a", "SSE4A"},
                            Pair{"succor", "SUCCOR"},
                            Pair{"svm", "SVM"},
                            Pair{"syscall", "SYSCALL"},
                            Pair{"tbm", "TBM"},
                            Pair{"tme", "TME"},
                            Pair{"topoext", "TOPEXT"},
                            Pair{"tsc_scale", "TSCRATEMSR"},
                            Pair{"tsxldtrk", "TSXLDTRK"},
                            Pair{"user_shstk", "CETSS"},
                            Pair{"vaes", "VAES"},
                            Pair{"vmcb_clean", "VMCBCLEAN"},
                            Pair{"vmx", "VMX"},
                            Pair{"vpclmulqdq", "VPCLMULQDQ"},
                            Pair{"waitpkg", "WAITPKG"},
                            Pair{"wbnoinvd", "WBNOINVD"},
                            Pair{"xgetbv1", "XGETBV1"},
                            Pair{"xop", "XOP"},
                            Pair{"xsave", "XSAVE"},
                            Pair{"xsavec", "XSAVEC"},
                            Pair{"xsaveopt", "XSAVEOPT"},
                            Pair{"xsaves", "XSAVES"}};

constexpr std::array vendors = {Pair{"GenuineIntel", "Intel"}, Pair{"AuthenticAMD", "AMD"}, Pair{"HygonGenuine", "Hygon"},
                                Pair{"CentaurHauls", "VIA"},   Pair{"0x41", "ARM"},         Pair{"0x42", "Broadcom"},
                                Pair{"0x43", "Cavium"},        Pair{"0x46", "Fujitsu"},     Pair{"0x4d", "Motorola"},
                                Pair{"0x4e", "NVIDIA"},        Pair{"0x50", "AMCC"},        Pair{"0x51", "Qualcomm"},
                                Pair{"0x56", "Marvell"},       Pair{"0x69", "Intel"},       Pair{"0xc0", "Ampere"}};

}  // namespace

std::string cpuid_flag(std::string_view arch, std::string_view flag) {
  if (arch == "arm64") {
    // There the kernel's names are the labels' but for case.
    std::string out(flag);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return out;
  }
  const auto* const known = std::ranges::find(x86, flag, &Pair::first);
  return known == x86.end() ? "" : std::string(known->second);
}

std::string cpu_vendor(std::string_view vendor) {
  const auto* const known = std::ranges::find(vendors, vendor, &Pair::first);
  return known == vendors.end() ? "VendorUnknown" : std::string(known->second);
}

}  // namespace cloudos::labels
