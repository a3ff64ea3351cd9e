/* The floor for one Pod: namespace, veth, addresses, routes, by the fewest system calls. Prints milliseconds a Pod.
 *   podfloor COUNT PREFIX    (run it in a network namespace of its own; names are PREFIX0, PREFIX1, ... in /run/netns) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[65536];
static size_t len;
static int seq, count;

static void die(const char *what) { perror(what); exit(1); }

static struct nlmsghdr *begin(int type, int flags, const void *body, size_t size) {
    struct nlmsghdr *h = (void *)(buf + len);
    memset(h, 0, sizeof *h);
    h->nlmsg_type = type; h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags; h->nlmsg_seq = ++seq;
    memcpy(NLMSG_DATA(h), body, size);
    h->nlmsg_len = NLMSG_LENGTH(size);
    count++;
    return h;
}
static struct rtattr *put(struct nlmsghdr *h, int type, const void *data, size_t size) {
    struct rtattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));
    a->rta_type = type; a->rta_len = RTA_LENGTH(size);
    if (size) memcpy(RTA_DATA(a), data, size);
    h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}
static void close_attr(struct nlmsghdr *h, struct rtattr *a) { a->rta_len = (char *)h + h->nlmsg_len - (char *)a; }
static void end(struct nlmsghdr *h) { len += NLMSG_ALIGN(h->nlmsg_len); }

static void up(int index) {
    struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    end(begin(RTM_NEWLINK, 0, &i, sizeof i));
}
static void veth(const char *name, int index, int ns) {
    struct ifinfomsg i = {.ifi_index = index}, p = {.ifi_index = 2};
    struct nlmsghdr *h = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
    put(h, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = put(h, IFLA_LINKINFO, 0, 0);
    put(h, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = put(h, IFLA_INFO_DATA, 0, 0), *peer = put(h, VETH_INFO_PEER, &p, sizeof p);
    put(h, IFLA_IFNAME, "eth0", 5);
    put(h, IFLA_NET_NS_FD, &ns, 4);
    close_attr(h, peer); close_attr(h, data); close_attr(h, info);
    end(h);
}
static void addr(int index, unsigned ip) {
    struct ifaddrmsg a = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = index};
    struct nlmsghdr *h = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &a, sizeof a);
    put(h, IFA_LOCAL, &ip, 4); put(h, IFA_ADDRESS, &ip, 4); end(h);
}
static void route(int index, unsigned dst, int bits, unsigned via) {
    struct rtmsg r = {.rtm_family = AF_INET, .rtm_dst_len = bits, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
                      .rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK, .rtm_type = RTN_UNICAST, .rtm_flags = via ? RTNH_F_ONLINK : 0};
    struct nlmsghdr *h = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &r, sizeof r);
    if (bits) put(h, RTA_DST, &dst, 4);
    put(h, RTA_OIF, &index, 4);
    if (via) put(h, RTA_GATEWAY, &via, 4);
    end(h);
}
static int open_route(void) {
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    if (s < 0 || bind(s, (void *)&a, sizeof a)) die("netlink");
    return s;
}
static void flush(int s) {
    static char answer[65536];
    if (send(s, buf, len, 0) < 0) die("send");
    while (count) {
        ssize_t n = recv(s, answer, sizeof answer, 0);
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
            if (h->nlmsg_type == NLMSG_ERROR) {
                int e = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
                if (e) { fprintf(stderr, "netlink: %s\n", strerror(-e)); exit(1); }
                count--;
            }
    }
    len = 0;
}
static void off(const char *path) {
    int fd = open(path, O_WRONLY);
    if (fd >= 0) { if (write(fd, "1", 1) < 0) die(path); close(fd); }
}
int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "podfloor COUNT PREFIX\n"); return 2; }
    int n = atoi(argv[1]), home = open("/proc/self/ns/net", O_RDONLY), node = open_route();
    struct timespec a, b;
    char path[128], name[32];
    unsigned gw = inet_addr("10.200.0.1");
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < n; i++) {
        unsigned ip = htonl(0x0ac80000 + 2 + i);
        snprintf(path, sizeof path, "/run/netns/%s%d", argv[2], i);
        close(open(path, O_RDONLY | O_CREAT | O_EXCL, 0444));
        if (unshare(CLONE_NEWNET)) die("unshare");
        if (mount("/proc/self/ns/net", path, "none", MS_BIND, 0)) die("mount");
        int fd = open("/proc/self/ns/net", O_RDONLY), inside = open_route();
        off("/proc/sys/net/ipv6/conf/all/disable_ipv6"); off("/proc/sys/net/ipv6/conf/default/disable_ipv6");
        snprintf(name, sizeof name, "fl%d", i);
        veth(name, 1000 + i, fd); up(1000 + i); flush(node);
        up(1); up(2); addr(2, ip); route(2, gw, 32, 0); route(2, 0, 0, gw); flush(inside);
        addr(1000 + i, gw); route(1000 + i, ip, 32, 0); flush(node);
        close(inside); close(fd);
        if (setns(home, CLONE_NEWNET)) die("setns");
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.3f\n", ((b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6) / n);
    return 0;
}
