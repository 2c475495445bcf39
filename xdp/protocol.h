/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How rakis and rakis-xdpd speak: one ASCII message a packet of a SOCK_SEQPACKET Unix socket, each
 * request answered by one message, in order. docs/xdpd-protocol.md has the words.
 */
#ifndef XDP_PROTOCOL_H
#define XDP_PROTOCOL_H

#define XDPD_VERSION "0.1"
#define XDPD_MESSAGE_MAX 64 /* bytes, no terminator is sent */
#define XDPD_DIRECTORY "/run/rakis"
/* The namespace's inode keeps apart interfaces of one name in different network namespaces. */
#define XDPD_SOCKET_FORMAT XDPD_DIRECTORY "/%lu/%s.sock"
/* Where the AF_XDP device plugin of Kubernetes listens within a pod. */
#define XDPD_PLUGIN_FORMAT "/tmp/afxdp_dp/%s/afxdp.sock"

#define XDPD_CONNECT "/connect"
#define XDPD_HOST_OK "/host_ok"
#define XDPD_HOST_NAK "/host_nak"
#define XDPD_VERSION_REQUEST "/version"
#define XDPD_MAP "/xsk_map_fd"
/* A word of ours that the device plugin answers with XDPD_NAK: who answers it steers ports. */
#define XDPD_PORTS_REQUEST "/ports"
#define XDPD_PORTS "/ports_ok"
#define XDPD_XSK "/xsk"
#define XDPD_FD_ACK "/fd_ack"
#define XDPD_FD_NAK "/fd_nak"
#define XDPD_BOUND "/bound"
#define XDPD_BOUND_OK "/bound_ok"
#define XDPD_BOUND_NAK "/bound_nak"
#define XDPD_PORT_ADD "/port_add"
#define XDPD_PORT_DEL "/port_del"
#define XDPD_PORT_OK "/port_ok"
#define XDPD_PORT_NAK "/port_nak"
#define XDPD_FIN "/fin"
#define XDPD_FIN_ACK "/fin_ack"
#define XDPD_NAK "/nak" /* not understood, or not in this order */

#endif
