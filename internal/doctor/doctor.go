// Package doctor looks at a machine before or beside a running gateway: what is found, what is missing, how to mend it.
//
// What always holds: it changes nothing (a probe file in the data folder is removed at once), sends nothing off the
// machine, and names variables without their values.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/detect"
)

// Status of one item.
type Status string

// A fail keeps the gateway from starting or answering; a warning does not.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Item is one thing looked at. Fix says how to mend it and is empty when nothing needs mending.
type Item struct {
	ID     string      `json:"id"`
	Status Status      `json:"status"`
	Found  config.Text `json:"found"`
	Fix    config.Text `json:"fix"`
}

// Input is what the caller already knows. Config is nil when the file has errors; Problems then says which.
type Input struct {
	Getenv     func(string) string
	ConfigPath string
	FromFile   bool
	Config     *config.Config
	Problems   []config.Problem
	Found      []detect.Found
	Unused     []string // variables with keys of services that are never called, such as OPENAI_API_KEY
	Platform   string
	DataAsOf   time.Time // the youngest date in the shipped data: a clock before it is wrong
	Now        time.Time
}

// Look runs every check, in the order a person would mend things.
func Look(ctx context.Context, in Input) []Item {
	out := []Item{
		{ID: "platform", Status: OK, Found: config.Text{Zh: in.Platform, En: in.Platform}},
		clock(in),
		configuration(in),
	}
	out = append(append(out, providers(in)...), unused(in)...)
	if in.Config == nil {
		return out
	}
	running := isRunning(ctx, in.Config.Data)
	if running {
		out = append(out, Item{ID: "server", Status: OK, Found: config.Text{Zh: "已有服务在此数据目录上运行", En: "a server is running on this data folder"}})
	}
	out = append(out, dataFolder(in.Config.Data), disk(in.Config.Data))
	if !running {
		out = append(out, port("port.data", in.Config.Listen, "listen"), port("port.admin", in.Config.Admin.Listen, "admin.listen"))
	}
	return append(out, proxies(in)...)
}

// Worst is the strictest status among items.
func Worst(items []Item) Status {
	worst := OK
	for _, it := range items {
		if it.Status == Fail || (it.Status == Warn && worst == OK) {
			worst = it.Status
		}
	}
	return worst
}

func clock(in Input) Item {
	it := Item{ID: "clock", Status: OK, Found: config.Text{Zh: "系统时间 " + in.Now.Format(time.RFC3339), En: "system time " + in.Now.Format(time.RFC3339)}}
	if in.Now.Before(in.DataAsOf) || in.Now.After(in.DataAsOf.AddDate(10, 0, 0)) {
		it.Status = Fail
		it.Fix = config.Text{Zh: "时钟不对：规则按日期判定，证据按时间记录。请启用 NTP（如 timedatectl set-ntp true）", En: "the clock is wrong: rules go by date and evidence by time. Turn NTP on (timedatectl set-ntp true)"}
	}
	return it
}

func configuration(in Input) Item {
	it := Item{ID: "config", Status: OK}
	switch {
	case !in.FromFile:
		it.Found = config.Text{Zh: "没有配置文件，按环境运行", En: "no configuration file: the environment decides"}
	case in.Config == nil:
		n := 0
		for _, p := range in.Problems {
			if p.Severity == config.Error {
				n++
			}
		}
		it.Status = Fail
		it.Found = config.Text{Zh: fmt.Sprintf("%s 有 %d 处错误", in.ConfigPath, n), En: fmt.Sprintf("%s has errors: %d", in.ConfigPath, n)}
		it.Fix = config.Text{Zh: "homeport check 逐条列出位置与改法", En: "homeport check shows each with its place and cure"}
	case len(in.Problems) > 0:
		it.Status = Warn
		it.Found = config.Text{Zh: fmt.Sprintf("%s 有效，%d 条警告", in.ConfigPath, len(in.Problems)), En: fmt.Sprintf("%s is valid, %d warnings", in.ConfigPath, len(in.Problems))}
		it.Fix = config.Text{Zh: "homeport check 逐条列出", En: "homeport check lists them"}
	default:
		it.Found = config.Text{Zh: in.ConfigPath + " 有效", En: in.ConfigPath + " is valid"}
	}
	return it
}

// providers lists what will answer.
func providers(in Input) []Item {
	var out []Item
	for _, f := range in.Found {
		it := Item{ID: "provider." + f.Catalog, Status: OK}
		if f.Env != "" {
			it.Found = config.Text{Zh: fmt.Sprintf("环境变量 %s（%s）", f.Env, f.Catalog), En: fmt.Sprintf("variable %s (%s)", f.Env, f.Catalog)}
		} else {
			it.Found = config.Text{Zh: fmt.Sprintf("本机服务 %s %s，模型 %d 个", f.Catalog, f.BaseURL, len(f.Models)), En: fmt.Sprintf("local server %s at %s, %d models", f.Catalog, f.BaseURL, len(f.Models))}
		}
		out = append(out, it)
	}
	if in.Config == nil {
		return out
	}
	if len(in.Config.Providers) == 1 && in.Config.Providers[0].Catalog == "practice" {
		return append(out, Item{ID: "provider", Status: Warn,
			Found: config.Text{Zh: "没有供应商密钥，也没有本机模型服务：由内置练习上游应答", En: "no provider key and no local model server: the built-in practice upstream answers"},
			Fix:   config.Text{Zh: "设置 DASHSCOPE_API_KEY、DEEPSEEK_API_KEY 等，或启动 Ollama、vLLM，或写配置文件", En: "set DASHSCOPE_API_KEY, DEEPSEEK_API_KEY or another, or start Ollama or vLLM, or write a configuration file"}})
	}
	if len(in.Found) == 0 {
		var ids []string
		for _, p := range in.Config.Providers {
			ids = append(ids, p.ID)
		}
		list := strings.Join(ids, ", ")
		out = append(out, Item{ID: "provider", Status: OK, Found: config.Text{Zh: "配置的供应商：" + list, En: "configured providers: " + list}})
	}
	return out
}

// unused names keys of services that are never called: those who rely on them should know.
func unused(in Input) []Item {
	if len(in.Unused) == 0 {
		return nil
	}
	list := strings.Join(in.Unused, ", ")
	return []Item{{ID: "unused", Status: Warn,
		Found: config.Text{Zh: "环境中的这些密钥从不用于调用上游：" + list, En: "keys of the environment that are never used to call a provider: " + list},
		Fix: config.Text{Zh: "这些服务不向中国内地提供，Homeport 只认得名字，从不发送。请让应用改用本网关的地址与密钥，再删去这些变量",
			En: "these services are not offered in mainland China: Homeport knows their names and never sends to them. Give the application this gateway's address and key, then remove the variables"}}}
}

func isRunning(ctx context.Context, data string) bool {
	c, err := control.Dial(ctx, data)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// dataFolder checks that the folder, or the nearest parent that exists, can be written.
func dataFolder(dir string) Item {
	it := Item{ID: "data", Status: OK, Found: config.Text{Zh: "数据目录 " + dir + " 可写", En: "data folder " + dir + " can be written"}}
	info, err := os.Stat(dir)
	at := dir
	if errors.Is(err, fs.ErrNotExist) {
		at = existing(dir)
		it.Found = config.Text{Zh: "数据目录 " + dir + " 尚不存在，启动时创建", En: "data folder " + dir + " is not there yet and is made at the start"}
	}
	switch {
	case err == nil && !info.IsDir():
		it.Status = Fail
		it.Found = config.Text{Zh: dir + " 不是目录", En: dir + " is not a folder"}
		it.Fix = config.Text{Zh: "移走此文件，或在 data: 中另写路径", En: "move the file away, or name another path in data:"}
		return it
	case err == nil && info.Mode().Perm()&0o077 != 0 && modesCount:
		it.Status = Warn
		it.Fix = config.Text{Zh: "其他用户可进入数据目录：chmod 700 " + dir, En: "other users can enter the data folder: chmod 700 " + dir}
	}
	f, err := os.CreateTemp(at, ".homeport-doctor-*")
	if err != nil {
		it.Status = Fail
		it.Found = config.Text{Zh: at + " 不可写", En: at + " cannot be written"}
		it.Fix = config.Text{Zh: "更改目录的属主或权限，或在 data: 中另写路径", En: "change owner or mode of the folder, or name another path in data:"}
		return it
	}
	f.Close()
	os.Remove(f.Name())
	return it
}

// existing is the nearest parent of dir that is there.
func existing(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}

// Free space below which the evidence log is in danger.
const (
	diskWarn = 2 << 30
	diskFail = 100 << 20
)

func disk(dir string) Item {
	free, ok := freeBytes(existing(dir))
	if !ok {
		return Item{ID: "disk", Status: OK, Found: config.Text{Zh: "剩余空间未知", En: "free space is unknown"}}
	}
	mib := free >> 20
	it := Item{ID: "disk", Status: OK, Found: config.Text{Zh: fmt.Sprintf("剩余空间 %d MiB", mib), En: fmt.Sprintf("%d MiB free", mib)}}
	if free < diskWarn {
		it.Status = Warn
		it.Fix = config.Text{Zh: "证据写不下时请求会被拒绝：请腾出空间，或把 data: 移到更大的盘", En: "requests are refused when evidence cannot be written: make room, or move data: to a larger disk"}
	}
	if free < diskFail {
		it.Status = Fail
	}
	return it
}

// port checks that the address can be listened on now.
func port(id, addr, key string) Item {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		ln.Close()
		return Item{ID: id, Status: OK, Found: config.Text{Zh: addr + " 空闲", En: addr + " is free"}}
	}
	return Item{ID: id, Status: Fail, Found: config.Text{Zh: addr + " 无法监听，可能已被占用", En: addr + " cannot be listened on; it may be taken"},
		Fix: config.Text{Zh: "停止占用者，或在 " + key + ": 中另写端口", En: "stop what holds it, or name another port in " + key + ":"}}
}

// proxies names proxy variables: they are never used, which surprises those who rely on them.
func proxies(in Input) []Item {
	if in.Getenv == nil {
		return nil
	}
	var set []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		if in.Getenv(name) != "" {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return nil
	}
	list := strings.Join(set, ", ")
	return []Item{{ID: "proxy", Status: Warn, Found: config.Text{Zh: "环境中的代理变量不会使用：" + list, En: "proxy variables of the environment are not used: " + list},
		Fix: config.Text{Zh: "确需代理时写在供应商的 proxy: 中；它会计入判定与证据", En: "where a proxy is needed name it in the provider's proxy:; it takes part in decision and evidence"}}}
}
