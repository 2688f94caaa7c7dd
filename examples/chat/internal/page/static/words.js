// SPDX-License-Identifier: Apache-2.0

// The page's words, in the languages that it has.
export const words = {
  en: {
    tongue: "中文", chat: "chat", skip: "To the message", rooms: "Rooms", otherRooms: "Other rooms", roomName: "Room", join: "Join", leave: "Leave",
    messages: "Messages", older: "Older messages", empty: "Nothing has been said here yet.", message: "Write a message", send: "Send",
    members: "Members", more: "Show more", lastMinute: "Last minute", rate: "messages/s", delay: "latency", plot: "Messages per second and latency in the last minute",
    changeName: "Change your name", language: "Language", yourName: "What is your name?", yourNameWhy: "Others in the room see it. You can change it later.", go: "Start",
    connecting: "connecting", open: "connected", away: "reconnecting", resumed: "resumed", ended: "ended",
    sending: "sending", accepted: "✓ accepted", saved: "✓✓ saved", failed: "not sent",
    newer: (n) => `${n} new ↓`, count: (n) => `${n} ${n === 1 ? "member" : "members"}`, came: (who) => `${who} came in`, went: (who) => `${who} left`,
    ms: "ms", you: "you", again: "Reload the page to begin again.", guest: "guest",
  },
  zh: {
    tongue: "English", chat: "聊天", skip: "跳到输入框", rooms: "房间", otherRooms: "其他房间", roomName: "房间名", join: "加入", leave: "离开",
    messages: "消息", older: "更早的消息", empty: "这里还没有人说话。", message: "输入消息", send: "发送",
    members: "成员", more: "显示更多", lastMinute: "最近一分钟", rate: "消息/秒", delay: "延迟", plot: "最近一分钟的消息速率和延迟",
    changeName: "修改昵称", language: "语言", yourName: "你叫什么名字？", yourNameWhy: "房间里的其他人会看到它，之后可以修改。", go: "开始",
    connecting: "连接中", open: "已连接", away: "重新连接中", resumed: "已恢复", ended: "已结束",
    sending: "发送中", accepted: "✓ 已接收", saved: "✓✓ 已保存", failed: "未发送",
    newer: (n) => `${n} 条新消息 ↓`, count: (n) => `${n} 位成员`, came: (who) => `${who} 进入了房间`, went: (who) => `${who} 离开了房间`,
    ms: "毫秒", you: "我", again: "刷新页面重新开始。", guest: "访客",
  },
};

// pick returns the language to begin with.
export function pick() {
  const kept = localStorage.getItem("lang");
  if (kept in words) return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}
