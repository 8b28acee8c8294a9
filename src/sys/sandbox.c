/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What no mail program asks for once it has started. */
static const char *const unneeded[] = {
	"acct",
	"add_key",
	"adjtimex",
	"bpf",
	"clock_adjtime",
	"clock_settime",
	"create_module",
	"delete_module",
	"finit_module",
	"fsconfig",
	"fsmount",
	"fsopen",
	"fspick",
	"get_kernel_syms",
	"init_module",
	"ioperm",
	"iopl",
	"kcmp",
	"kexec_file_load",
	"kexec_load",
	"keyctl",
	"lookup_dcookie",
	"mbind",
	"migrate_pages",
	"modify_ldt",
	"mount",
	"mount_setattr",
	"move_mount",
	"move_pages",
	"name_to_handle_at",
	"nfsservctl",
	"open_by_handle_at",
	"open_tree",
	"perf_event_open",
	"personality",
	"pivot_root",
	"process_madvise",
	"process_vm_readv",
	"process_vm_writev",
	"ptrace",
	"query_module",
	"quotactl",
	"quotactl_fd",
	"reboot",
	"request_key",
	"set_mempolicy",
	"setdomainname",
	"sethostname",
	"setns",
	"settimeofday",
	"stime",
	"swapoff",
	"swapon",
	"sysfs",
	"syslog",
	"_sysctl",
	"umount",
	"umount2",
	"unshare",
	"uselib",
	"userfaultfd",
	"ustat",
	"vhangup",
	"vm86",
	"vm86old",
};

enum rc sandbox_syscalls(struct fault *fault)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int error = 0;

	if (filter == NULL)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "no filter of system calls: out of memory");
	for (size_t i = 0; i < ARRAY_LEN(unneeded) && error == 0; i++) {
		int call = seccomp_syscall_resolve_name(unneeded[i]);

		if (call != __NR_SCMP_ERROR)
			error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM),
						 call, 0);
		if (error == -EDOM) /* not a call of this architecture */
			error = 0;
	}
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	if (error == 0)
		return RC_OK;
	errno = -error;
	return fault_set(fault, RC_NONE, "4.3.0",
			 "no filter of system calls: %m");
}

enum {
	FILE_RIGHTS = LANDLOCK_ACCESS_FS_EXECUTE |
		      LANDLOCK_ACCESS_FS_WRITE_FILE |
		      LANDLOCK_ACCESS_FS_READ_FILE,
	CREATE_RIGHTS =
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
		LANDLOCK_ACCESS_FS_MAKE_SYM,
	ALL_RIGHTS = FILE_RIGHTS | CREATE_RIGHTS | LANDLOCK_ACCESS_FS_READ_DIR |
		     LANDLOCK_ACCESS_FS_MAKE_CHAR |
		     LANDLOCK_ACCESS_FS_MAKE_BLOCK,
};

/* Renaming into another directory: denied wherever it is not granted, and not
 * known to the first version of the interface. */
enum { REFER_RIGHT = 1 << 13, REFER_VERSION = 2 };

static uint64_t rights_of(unsigned rights, bool has_refer)
{
	uint64_t access = 0;

	if (rights & SANDBOX_READ)
		access |= LANDLOCK_ACCESS_FS_READ_FILE |
			  LANDLOCK_ACCESS_FS_READ_DIR;
	if (rights & (SANDBOX_WRITE | SANDBOX_CREATE))
		access |= LANDLOCK_ACCESS_FS_WRITE_FILE;
	if (rights & SANDBOX_CREATE)
		access |= CREATE_RIGHTS | (has_refer ? REFER_RIGHT : 0);
	if (rights & SANDBOX_EXECUTE)
		access |= LANDLOCK_ACCESS_FS_EXECUTE;
	return access;
}

static enum rc path_allow(int ruleset, const struct sandbox_path *path,
			  bool has_refer, struct fault *fault)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights_of(path->rights, has_refer),
	};
	struct stat st;
	long failed;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0 && errno == ENOENT &&
	    (path->rights & SANDBOX_OPTIONAL))
		return RC_OK;
	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "sandbox: %s: %m",
				 path->path);
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FILE_RIGHTS;
	failed = syscall(SYS_landlock_add_rule, ruleset,
			 LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	if (failed)
		return fault_set(fault, RC_CONF, "4.3.5", "sandbox: %s: %m",
				 path->path);
	return RC_OK;
}

enum rc sandbox_paths(const struct sandbox_path *paths, size_t count,
		      struct fault *fault)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_RIGHTS };
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	bool has_refer = version >= REFER_VERSION;
	enum rc rc = RC_OK;
	int ruleset;

	if (has_refer)
		attr.handled_access_fs |= REFER_RIGHT;
	ruleset = version < 1 ? -1
			      : (int)syscall(SYS_landlock_create_ruleset, &attr,
					     sizeof(attr), 0);
	if (ruleset < 0)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "this kernel cannot confine a process to "
				 "paths (Landlock): %m");
	for (size_t i = 0; i < count && rc == RC_OK; i++)
		rc = path_allow(ruleset, &paths[i], has_refer, fault);
	if (rc == RC_OK && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
			    syscall(SYS_landlock_restrict_self, ruleset, 0)))
		rc = fault_set(fault, RC_NONE, "4.3.0", "Landlock: %m");
	close(ruleset);
	return rc;
}
