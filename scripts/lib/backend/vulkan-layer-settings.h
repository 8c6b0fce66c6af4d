// VK_EXT_layer_settings for Vulkan headers older than 1.3.272, such as Debian 12's.
//
// ggml's Vulkan back end names these types even where it has no use for them: only with the validation layer are they
// more than an ignored link of a chain. bootstrap includes this file before ggml's sources; newer headers make it empty.
#pragma once
#include <vulkan/vulkan_core.h>

#if !defined(VK_EXT_layer_settings) && defined(__cplusplus)
#include <cstdint>
#include <vector>

namespace vk {
enum class LayerSettingTypeEXT { eBool32 = 0 };

struct LayerSettingEXT {
  const char *pLayerName;
  const char *pSettingName;
  LayerSettingTypeEXT type;
  uint32_t valueCount;
  const void *pValues;
};

struct LayerSettingsCreateInfoEXT {
  VkStructureType sType = static_cast<VkStructureType>(1000496000);
  const void *pNext = nullptr;
  uint32_t settingCount;
  const LayerSettingEXT *pSettings;

  explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &settings)
      : settingCount(static_cast<uint32_t>(settings.size())), pSettings(settings.data()) {}
};
}  // namespace vk
#endif
